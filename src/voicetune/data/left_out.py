"""Clips that are not used, and why: the table data/clips/left_out.csv."""

import csv
from dataclasses import dataclass
from pathlib import Path

from voicetune import files
from voicetune.errors import UserError, shown


@dataclass(frozen=True)
class LeftOut:
    """A clip that is not used. reason: a short reason that clips can share, then ": " and the details of this clip."""

    id: str
    source: str
    reason: str


def write(path: Path, left_out: list[LeftOut]) -> None:
    """Write the table, one row a clip.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    with files.writing(path), path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "source", "reason"])
        writer.writerows([entry.id, entry.source, shown(entry.reason)] for entry in left_out)


def check_not_all(left_out: list[LeftOut], kept: int, table: Path) -> None:
    """Check that some clips are used.

    Args:
        kept: how many are.
        table: where a user reads why the others are not.

    Raises:
        UserError: none is.
    """
    if kept == 0:
        first = left_out[0]
        raise UserError(
            f"all {len(left_out)} clips are left out, for example '{first.id}' ({first.reason.removesuffix('.')}); "
            f"see {table} and correct the sources."
        )
