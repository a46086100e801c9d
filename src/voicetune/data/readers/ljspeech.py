"""Reads folders in the layout of the data set LJSpeech: metadata.csv with lines `id|text`, and recordings in wavs/.

Source: https://keithito.com/LJ-Speech-Dataset.
"""

from pathlib import Path
from typing import Literal

from voicetune.data.readers import encodings, lists
from voicetune.data.readers.lists import EXTENSIONS
from voicetune.data.readers.source import Source, fault_of, nfc, utterance
from voicetune.data.utterance import Recording, Utterance


class LJSpeechSource(Source):
    """A folder of recordings in LJSpeech's layout."""

    reader: Literal["ljspeech"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        first = encodings.first_line(folder / "metadata.csv")
        is_header = {"audio_file", "text"} <= set(first.split("|"))  # then it is Coqui's
        return "LJSpeech (metadata.csv with lines id|text)" if "|" in first and not is_header else ""


def read(source: LJSpeechSource) -> list[Utterance]:
    """One utterance for each line of metadata.csv.

    Raises:
        UserError: metadata.csv is a link out of the folder, or see `lists.rows`.
    """
    folder = Path(source.path)
    metadata = folder / "metadata.csv"
    lists.check_inside(metadata, folder)
    rows = lists.rows(metadata, (2, 3), source)
    recordings, others = _recordings(folder)
    utterances = []
    for id, *texts in rows:
        stem = lists.stem(id)
        # a missing recording gets the path where it should be
        path = recordings.get(id) or recordings.get(stem) or folder / "wavs" / f"{stem}.wav"
        text = texts[-1] or texts[0]  # the normalised text, if there is one
        fault = fault_of(path, folder)
        if fault.startswith("missing") and stem in others:
            fault += f" ({others[stem]} is not read: convert it to WAV or FLAC)"
        utterances.append(utterance(source, stem, text, Recording(path), fault))
    return utterances


def _recordings(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Find the files in a folder, in its wav/ and in its wavs/. If several have the same name, the last one is taken.

    A name without extension stands for the format that EXTENSIONS lists first. Names are in NFC, like ids, because
    macOS writes `e` and its accent as separate characters.

    Returns:
        the recordings, by name with and without extension; and files with other extensions, by name without extension.
    """
    paths = [
        path
        for place in (folder, folder / "wav", folder / "wavs")
        if place.is_dir()
        for path in sorted(place.iterdir())
    ]
    read = [path for path in paths if path.suffix.lower() in EXTENSIONS]
    by_preference = sorted(read, key=lambda path: -EXTENSIONS.index(path.suffix.lower()))
    recordings = {nfc(path.stem): path for path in by_preference} | {nfc(path.name): path for path in read}
    return recordings, {nfc(path.stem): path for path in paths if path not in read and path.suffix}
