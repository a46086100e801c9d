"""Takes, and the folder that keeps them. A take is one sentence said once: by a model, in a recording or by the codec.

A folder holds takes.csv and the sounds as 16-bit FLAC: <id>.flac for the first take of a sentence, take2/<id>.flac for
the second, and so on. Stages ceiling and evaluate measure the sounds that these files hold.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from voicetune import files
from voicetune.data import audio, csv_tables, formats
from voicetune.data.clip import Clip
from voicetune.data.codes import Codes
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.shapes import Plain

INDEX = "takes.csv"
_AGAIN = "run `dvc repro -s -f speak ceiling`"
_NOTHING = np.zeros(0, np.float32)


@dataclass(frozen=True)
class IndexRow:
    """A row of the index. take: from 0. stopped: `Take.stopped` as 1 or 0; empty for None."""

    id: Plain
    take: Annotated[int, Field(ge=0, le=10_000)]
    file: str
    stopped: Literal["", "0", "1"]
    language: str
    text: str


@dataclass(frozen=True)
class Take:
    """One sentence, said once.

    number: from 0. sound: (samples,) float32. stopped: whether the model ended the sentence by itself; True for the
    codec, None for a recording.
    """

    clip: Clip
    number: int
    sound: np.ndarray
    stopped: bool | None = None

    @property
    def file(self) -> str:
        """The file of its sound, in the folder of takes."""
        return file_of(self.clip.id, self.number)


def file_of(id: str, number: int) -> str:
    """The file of a take's sound, in the folder of takes."""
    return f"{id}.flac" if number == 0 else f"take{number + 1}/{id}.flac"


def sentences(clips: np.ndarray, seed: int, count: int) -> np.ndarray:
    """Draw the clips whose texts are spoken, as positions. The draw depends on the seed and not on the model.

    Args:
        clips: positions to draw from, such as `Codes.test`.
    """
    return np.sort(np.random.default_rng([seed, 4]).permutation(clips)[:count])


def spoken(codes: Codes, seed: int, count: int) -> np.ndarray:
    """Draw the test clips that are spoken, `count` of each language, as positions; see `sentences`."""
    languages = {codes.clips[i].language for i in codes.test}
    of_each = ([i for i in codes.test if codes.clips[i].language == one] for one in sorted(languages))
    return np.sort(np.concatenate([sentences(np.array(clips, np.int64), seed, count) for clips in of_each]))


def recorded(data: Dataset, chosen: np.ndarray) -> list[Take]:
    """The sentences as they were recorded, at 22,050 Hz."""
    return [Take(clip, 0, data.sound(clip)[0]) for clip in (data.codes.clips[i] for i in chosen)]


def save(folder: Path, takes: Sequence[Take], rate: int) -> None:
    """Write a folder of takes; `rate` is the sample rate of their sounds in Hz."""
    files.check_own(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for take in takes:
        path = folder / take.file
        path.parent.mkdir(exist_ok=True)
        sound = take.sound if take.sound.size else np.zeros(1, np.float32)  # a FLAC file cannot be empty
        files.put(path, formats.encode(np.clip(sound, -1, 1), rate, "flac"))
    with files.writing(folder / INDEX), (folder / INDEX).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(IndexRow))
        for take in takes:
            stopped = "" if take.stopped is None else int(take.stopped)
            writer.writerow([take.clip.id, take.number, take.file, stopped, take.clip.language, take.clip.text])


def read(folder: Path, codes: Codes) -> tuple[list[Take], int]:
    """Read what `save` wrote.

    Args:
        codes: the dataset that the sentences belong to.

    Returns:
        the takes, and the sample rate of their sounds in Hz (0 without takes).

    Raises:
        UserError: the folder is not as `save` writes it, or has a sentence that the dataset lacks.
    """
    known = {clip.id: clip for clip in codes.clips}
    takes, rates = [], {0}
    for row in index(folder):
        if row.id not in known:
            raise UserError(f"{folder / INDEX} has the sentence {row.id}, which the dataset lacks; {_AGAIN}.")
        sound, rate = read_sound(folder, row.id, row.take)
        stopped = None if row.stopped == "" else row.stopped == "1"
        takes.append(Take(known[row.id], row.take, sound if len(sound) > 1 else _NOTHING, stopped))
        rates.add(rate)
    return takes, max(rates)


def index(folder: Path) -> list[IndexRow]:
    """The rows of a folder's takes.csv.

    Raises:
        UserError: it is missing, or is not as `save` writes it.
    """
    return csv_tables.read(folder / INDEX, IndexRow, _AGAIN)


def read_sound(folder: Path, id: str, number: int) -> tuple[np.ndarray, int]:
    """The sound of one take: (samples,) float32, and its sample rate in Hz.

    Raises:
        UserError: the file is missing, is not an audio file, or lies behind a link that leads out of the folder.
    """
    path = folder / file_of(id, number)
    if files.leaves(path, folder):
        raise UserError(f"{path} leads out of {folder} through a link; {_AGAIN}.")
    return audio.read(path, _AGAIN)
