"""The record that everything downstream reads: one clip, one row of a manifest."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated

from pydantic import Field

from voicetune import files
from voicetune.data import rows
from voicetune.data.split import SIDES
from voicetune.errors import UserError
from voicetune.shapes import Plain

MADE_BY = {"clips": "prepare", "codes": "encode"}
"""The stage that makes the manifest in a folder of this name."""


@dataclass(frozen=True)
class Clip:
    """One utterance.

    file: its name in the manifest's folder. seconds: after cleaning. split: `train`, `validation` or `test`.
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
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Clip)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(clip) for clip in clips)


def read(path: Path) -> list[Clip]:
    """Read a manifest that `write` wrote.

    Raises:
        UserError: it is missing or damaged.
    """
    return rows.read(path, Clip, f"run `dvc repro -f {MADE_BY.get(path.parent.name, 'prepare')}`")


def check_files(folder: Path, clips: list[Clip]) -> None:
    """Look at the sound of every clip, its header alone.

    Raises:
        UserError: one is missing, no sound, or not as long as its row says.
    """
    import soundfile  # for whom the manifest is enough, it need not be there

    for one in clips:
        path = folder / one.file
        files.need(path, "run `dvc repro -f prepare`")
        try:
            info = soundfile.info(path)
        except RuntimeError:
            raise UserError(f"{path} is no sound; run `dvc repro -f prepare`.") from None
        if abs(info.duration - one.seconds) > 0.01:
            raise UserError(f"{path} is not the clip of clips.csv; run `dvc repro -f prepare`.")
