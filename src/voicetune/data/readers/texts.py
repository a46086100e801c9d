"""Reads a folder of sound files, each with its text in a file of the same name: a.wav and a.txt (or a.lab).

Folders in it are read too. They do not name speakers: nobody can tell what their names mean.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from voicetune import files
from voicetune.data.readers import encodings, lists
from voicetune.data.readers.source import Source, fault_of, nfc, utterance
from voicetune.data.utterance import Recording, Utterance

_TEXTS = (".txt", ".lab")  # in order of preference


class TextsSource(Source):
    """A folder of sounds and texts of the same names."""

    reader: Literal["texts"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        found = lists.walk(folder)
        written = _texts(found)
        sound = next((path for stem, path in lists.sounds(found).items() if stem in written), None)
        return f"sounds with texts of the same names (such as {sound.name})" if sound else ""


def read(source: TextsSource) -> list[Utterance]:
    """One utterance for each sound, and for each text without a sound.

    Raises:
        UserError: the name of a file cannot be used.
    """
    folder = Path(source.path)
    found = lists.walk(folder)
    sounds, written = lists.sounds(found), _texts(found)
    texts = read_texts(written.values(), source)
    utterances = []
    for stem in sorted(sounds.keys() | written.keys()):
        path = sounds.get(stem, Path(f"{stem}.wav"))
        id = lists.id_of(Path(f"{stem}.wav"), folder)
        lists.check_id(id, source.name, str(path))
        text, fault = texts[written[stem]] if stem in written else ("", f"missing text: {stem}{_TEXTS[0]}")
        utterances.append(utterance(source, id, text, Recording(path), fault_of(path, folder) or fault))
    return utterances


def read_texts(paths: Iterable[Path], source: Source) -> dict[Path, tuple[str, str]]:
    """Read the texts of single clips.

    Returns:
        see `encodings.read_texts`. A link that leads out of the source cannot be used.
    """
    folder = Path(source.path)
    out = [path for path in paths if files.leaves(path, folder)]
    faults = {path: ("", f"link: {path} leads out of {folder}; put the text itself there") for path in out}
    return encodings.read_texts([path for path in paths if path not in faults], folder, source.language) | faults


def _texts(paths: list[Path]) -> dict[Path, Path]:
    """The texts among these, by their paths in NFC without extension."""
    found = [path for ending in reversed(_TEXTS) for path in paths if path.suffix.lower() == ending]
    return {Path(nfc(str(path.with_suffix("")))): path for path in found}
