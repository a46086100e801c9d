"""Reads the data set VCTK: txt/p225/p225_001.txt, and wav48_silence_trimmed/p225/p225_001_mic1.flac.

The first microphone is taken where there are two. Version 0.80 has wav48/p225/p225_001.wav.

Source: https://datashare.ed.ac.uk/handle/10283/3443 (version 0.92).
"""

import re
from pathlib import Path
from typing import Literal

from voicetune.data.readers import lists, texts
from voicetune.data.readers.source import Source, fault_of, nfc, utterance
from voicetune.data.utterance import Recording, Utterance

_PLACES = {"wav48_silence_trimmed": "{}_mic1.flac", "wav48": "{}.wav"}  # with the names of their recordings
_MICROPHONES = ("_mic1", "", "_mic2")  # in order of preference


class VCTKSource(Source):
    """A folder in VCTK's layout. Its folders name the speakers."""

    reader: Literal["vctk"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        place = _place(folder)
        return f"VCTK (txt/ and {place}/)" if place and (folder / "txt").is_dir() else ""


def read(source: VCTKSource) -> list[Utterance]:
    """One utterance for each text, and for each recording without a text, by speaker and number.

    Raises:
        UserError: the folder of a speaker, or a recording, has a name that cannot be used.
    """
    folder = Path(source.path)
    place = _place(folder) or next(iter(_PLACES))
    written = {(path.parent.name, nfc(path.stem)): path for path in sorted(folder.glob("txt/*/*.txt"))}
    recorded, spoken = _recordings(folder), texts.read_texts(written.values(), source)
    utterances = []
    for speaker, id in sorted(written.keys() | recorded.keys()):
        lists.check_speaker(speaker, f"{folder}/txt/{speaker}")
        lists.check_id(id, source.name, f"{folder}/txt/{speaker}")
        missing = folder / place / speaker / _PLACES[place].format(id)
        path = recorded.get((speaker, id), missing)
        none = "", f"missing text: {folder}/txt/{speaker}/{id}.txt"
        text, fault = spoken[written[speaker, id]] if (speaker, id) in written else none
        fault = fault_of(path, folder) or fault
        utterances.append(utterance(source, id, text, Recording(path), fault, speaker))
    return utterances


def without_microphone(name: str) -> str:
    """The name of a file without its extension, and without the number of the microphone."""
    return re.sub(r"_mic\d$", "", name)


def _place(folder: Path) -> str:
    """The folder of the recordings; empty if there is none."""
    return next((place for place in _PLACES if (folder / place).is_dir()), "")


def _recordings(folder: Path) -> dict[tuple[str, str], Path]:
    """The recordings by speaker and id; of several, the one that the two tables above name first."""
    found = {}
    for place in reversed(_PLACES):
        for microphone in reversed(_MICROPHONES):
            for path in sorted((folder / place).glob("*/*")):
                stem, _, number = path.stem.rpartition("_mic")
                is_of = f"_mic{number}" == microphone if stem else not microphone
                if is_of and lists.is_sound(path):
                    found[path.parent.name, nfc(stem or path.stem)] = path
    return found
