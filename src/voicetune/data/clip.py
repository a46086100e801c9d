"""The record that everything downstream reads: one clip, one row of a manifest."""

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from voicetune import files
from voicetune.errors import UserError

MADE_BY = {"clips": "prepare", "codes": "encode"}
"""The stage that makes the manifest in a folder of this name."""


@dataclass(frozen=True)
class Clip:
    """One utterance.

    file: relative to the manifest's folder. seconds: after cleaning. split: `train`, `validation` or `test`.
    """

    id: str
    file: str
    text: str
    language: str
    speaker: str
    source: str
    seconds: float
    split: str


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
    again = f"run `dvc repro -f {MADE_BY.get(path.parent.name, 'prepare')}`"
    text = files.read_text(path, again)
    try:
        return [Clip(seconds=float(row.pop("seconds")), **row) for row in csv.DictReader(io.StringIO(text, newline=""))]
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error):
        raise UserError(f"{path} is damaged; {again}.") from None


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
