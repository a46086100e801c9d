"""The record that everything downstream reads: one clip, one row of a manifest."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path


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
    """Write a manifest, one row a clip, in the given order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Clip)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(clip) for clip in clips)


def read(path: Path) -> list[Clip]:
    """Read a manifest that `write` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        return [Clip(seconds=float(row.pop("seconds")), **row) for row in csv.DictReader(file)]
