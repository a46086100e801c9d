"""The record of one clip, which is one row of a manifest. All later stages read it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from voicetune import files
from voicetune.data import csv_tables
from voicetune.data.split import SIDES
from voicetune.errors import UserError
from voicetune.shapes import Plain

MADE_BY = {"clips": "prepare", "quality": "quality", "codes": "encode"}
"""The stage that writes the manifest in a folder of this name."""


@dataclass(frozen=True)
class Clip:
    """One utterance.

    file: its name in the manifest's folder. seconds: its length after cleaning. split: `train`, `validation` or `test`.
    """

    id: Plain
    file: Plain
    text: str
    language: str
    speaker: Plain
    source: Plain
    seconds: Annotated[float, Field(ge=0, le=1e6)]
    split: Annotated[str, Field(pattern=f"^({'|'.join(SIDES)})$")]


def write(path: Path, clips: list[Clip]) -> None:
    """Write a manifest, one row a clip, in the given order.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    csv_tables.write(path, Clip, clips)


def read(path: Path) -> list[Clip]:
    """Read a manifest that `write` wrote.

    Raises:
        UserError: it is missing or damaged.
    """
    return csv_tables.read(path, Clip, f"run `dvc repro -s -f {MADE_BY.get(path.parent.name, 'prepare')}`")


def check_files(folder: Path, clips: list[Clip]) -> None:
    """Check the sound file of every clip, by its header only.

    Raises:
        UserError: a file is missing, is not a sound file, or differs in length from its row by more than 0.01 s.
    """
    import soundfile  # callers that read only the manifest do not need it

    for one in clips:
        path = folder / one.file
        files.need(path, "run `dvc repro -s -f prepare`")
        try:
            info = soundfile.info(path)
        except RuntimeError:
            raise UserError(f"{path} is no sound; run `dvc repro -s -f prepare`.") from None
        if abs(info.duration - one.seconds) > 0.01:
            raise UserError(f"{path} is not the clip of clips.csv; run `dvc repro -s -f prepare`.")
