"""Clips that are not used, and why: the table data/clips/left_out.csv."""

from dataclasses import dataclass, replace
from pathlib import Path

from voicetune.data import csv_tables
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
    csv_tables.write(path, LeftOut, [replace(one, reason=shown(one.reason)) for one in left_out])


def read(path: Path) -> list[LeftOut]:
    """Read the table that `write` wrote.

    Raises:
        UserError: it is missing or damaged.
    """
    return csv_tables.read(path, LeftOut, "run `dvc repro -s -f prepare`")


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
