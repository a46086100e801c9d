"""Clips that are not used, and why: the table data/clips/left_out.csv."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from voicetune.data import csv_tables
from voicetune.errors import UserError, shown

_REMEDIES = {
    "rejected": "take back decisions in data/decisions.csv",
    "too long": "raise prepare.max_seconds in params.yaml, or take `reader: long`, which cuts recordings",
    "too short": "lower prepare.min_seconds in params.yaml",
}
"""What to do about reasons that do not lie in the recordings alone."""


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


def remedy(left_out: list[LeftOut]) -> str:
    """What to do about the most frequent reason; empty if that is only to correct the sources, or to add clips."""
    kinds = Counter(one.reason.partition(":")[0] for one in left_out)
    return _REMEDIES.get(kinds.most_common(1)[0][0], "") if kinds else ""


def check_not_all(left_out: list[LeftOut], kept: int, table: Path, remedy: str) -> None:
    """Check that some clips are used.

    Args:
        kept: how many are.
        table: where a user reads why the others are not.
        remedy: what to do about it; empty if that is to correct the sources.

    Raises:
        UserError: none is.
    """
    if kept == 0:
        first = left_out[0]
        raise UserError(
            f"all {len(left_out)} clips are left out, for example '{first.id}' ({first.reason.removesuffix('.')}); "
            f"see {table} and {remedy or 'correct the sources'}."
        )
