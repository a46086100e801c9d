"""The table of what was measured on each take, one row per take, and its figures without intervals."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from voicetune import files
from voicetune.data import rows
from voicetune.errors import UserError
from voicetune.shapes import Number, Plain

TABLE = "takes.csv"
RATIOS = {"cer": ("character_errors", "characters"), "wer": ("word_errors", "words")}
MEANS = (
    "secs", "secs_xtts", "mos", "mos_signal", "mos_background", "f0_rmse_cents", "voicing_error", "mcd_db",
    "duration_ratio",
)  # fmt: skip
SHARES = {
    "runaways": ("stopped", 0), "skips": ("skipped", 1), "repeats": ("repeated", 1),
    "long_silences": ("long_silence", 1), "clipped": ("clipped", 1),
}  # fmt: skip
AVERAGED = (*RATIOS, *MEANS)

Row = dict[str, Any]

_Measured = Annotated[Number | None, BeforeValidator(lambda cell: None if cell == "" else cell)]
"""A number; None for an empty cell, which means that nothing was measured."""


@dataclass(frozen=True)
class _Heard:
    """A row of the table; its fields are the columns, in order."""

    id: Plain
    take: Annotated[int, Field(ge=0, le=10_000)]
    speaker: str
    language: str
    text: str
    file: str
    seconds: _Measured
    heard: str
    characters: _Measured
    character_errors: _Measured
    words: _Measured
    word_errors: _Measured
    secs: _Measured
    secs_xtts: _Measured
    mos: _Measured
    mos_signal: _Measured
    mos_background: _Measured
    f0_rmse_cents: _Measured
    voicing_error: _Measured
    mcd_db: _Measured
    duration_ratio: _Measured
    stopped: _Measured
    skipped: _Measured
    repeated: _Measured
    long_silence: _Measured
    clipped: _Measured


COLUMNS = tuple(field.name for field in fields(_Heard))


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the table, one row per take."""
    files.check_own(path)
    with files.writing(path), path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[Row]:
    """Read the table's rows. A measure is a number, or None if it was not measured.

    Raises:
        UserError: the table is missing, or is not as `write` writes it.
    """
    again = "run `dvc repro -s -f evaluate ceiling`"
    found = [vars(row) for row in rows.read(path, _Heard, again)]
    for row, (above, below) in product(found, RATIOS.values()):
        if (row[above] is None) != (row[below] is None):
            raise UserError(f"{path} has only one of {above} and {below} in the row of {row['id']}; {again}.")
    return found


def mishap(row: Row) -> bool | None:
    """Whether a take has any of the faults in SHARES; None if none of them was measured."""
    found = [row[column] == bad for column, bad in SHARES.values() if row[column] is not None]
    return any(found) if found else None


def sums_by_sentence(rows: Sequence[Row], name: str) -> tuple[dict[str, float], dict[str, float]]:
    """Sum and count of a measure over each sentence's takes, by id; sentences without the measure are left out."""
    above, below = RATIOS.get(name, (name, None))
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    for row in rows:
        size = 1.0 if below is None else row[below]
        if row[above] is not None and size:
            sums[row["id"]] = sums.get(row["id"], 0.0) + row[above]
            counts[row["id"]] = counts.get(row["id"], 0.0) + size
    return sums, counts


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """Every measure of AVERAGED that the rows have, without intervals, and the share of takes with a mishap."""
    found: dict[str, float] = {}
    for name in AVERAGED:
        sums, counts = sums_by_sentence(rows, name)
        if sums:
            found[name] = sum(sums.values()) / sum(counts.values())
    seen = [bad for row in rows if (bad := mishap(row)) is not None]
    return found | ({"mishaps": float(np.mean(seen))} if seen else {})
