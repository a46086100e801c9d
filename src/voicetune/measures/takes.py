"""Takes: sentences said once, by a model, a recording or the codec; and the folder that they are kept in.

A folder holds takes.csv, <id>.flac of each sentence's first take, and take<n>/<id>.flac of the others, 16 bit. What
is measured is what these files hold.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from voicetune import files
from voicetune.data import formats
from voicetune.data.clip import Clip
from voicetune.data.codes import Codes
from voicetune.errors import UserError

INDEX = "takes.csv"
_COLUMNS = ("id", "take", "file", "stopped", "language", "text")
_NOTHING = np.zeros(0, np.float32)


@dataclass(frozen=True)
class Take:
    """One sentence, said once.

    number: from 0. sound: (samples,) float32. stopped: whether the model ended it by itself; None for what no model
    said.
    """

    clip: Clip
    number: int
    sound: np.ndarray
    stopped: bool | None = None

    @property
    def file(self) -> str:
        """Of its sound, in the folder of takes."""
        return f"{self.clip.id}.flac" if self.number == 0 else f"take{self.number + 1}/{self.clip.id}.flac"


def sentences(clips: np.ndarray, seed: int, count: int) -> np.ndarray:
    """Positions of the clips whose texts are spoken: the same for every model, drawn from the seed.

    Args:
        clips: positions to draw from, such as `Codes.test`.
    """
    return np.sort(np.random.default_rng([seed, 4]).permutation(clips)[:count])


def recorded(codes: Codes, clips: Path, chosen: np.ndarray) -> list[Take]:
    """The sentences as they were recorded, at 22,050 Hz.

    Args:
        clips: the folder of the recordings.
    """
    said = [codes.clips[i] for i in chosen]
    return [Take(clip, 0, soundfile.read(clips / clip.file, dtype="float32")[0]) for clip in said]


def save(folder: Path, takes: Sequence[Take], rate: int) -> None:
    """Write a folder of takes; `rate` is that of their sounds in Hz."""
    folder.mkdir(parents=True, exist_ok=True)
    for take in takes:
        path = folder / take.file
        path.parent.mkdir(exist_ok=True)
        sound = take.sound if take.sound.size else np.zeros(1, np.float32)  # FLAC has no empty file
        files.put(path, formats.encode(np.clip(sound, -1, 1), rate, "flac"))
    with (folder / INDEX).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for take in takes:
            stopped = "" if take.stopped is None else int(take.stopped)
            writer.writerow([take.clip.id, take.number, take.file, stopped, take.clip.language, take.clip.text])


def read(folder: Path, codes: Codes) -> tuple[list[Take], int]:
    """What `save` wrote.

    Args:
        codes: the dataset whose sentences they are.

    Returns:
        the takes, and the rate of their sounds in Hz (0 without takes).

    Raises:
        UserError: the folder is not what `save` writes, or has a sentence that the dataset lacks.
    """
    known = {clip.id: clip for clip in codes.clips}
    path = folder / INDEX
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        takes, rates = [], {0}
        for row in rows:
            clip, number = known[row["id"]], int(row["take"])
            sound, rate = read_sound(folder / Take(clip, number, _NOTHING).file)
            stopped = None if row["stopped"] == "" else row["stopped"] == "1"
            takes.append(Take(clip, number, sound if len(sound) > 1 else _NOTHING, stopped))
            rates.add(rate)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro speak ceiling`.") from None
    except (KeyError, ValueError, csv.Error):
        raise UserError(f"{path} is not the list of takes of this dataset; run `dvc repro -f speak`.") from None
    return takes, max(rates)


def read_sound(path: Path) -> tuple[np.ndarray, int]:
    """The sound of one take: (samples,) float32 and its rate in Hz.

    Raises:
        UserError: the file is missing or no sound.
    """
    try:
        return soundfile.read(path, dtype="float32")
    except (OSError, RuntimeError):
        raise UserError(f"{path} is missing or no sound; make it again with `dvc repro -f speak ceiling`.") from None
