"""What was heard of each take: one row a take, kept as a table, and the figures of such a table, without intervals."""

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
"""Empty where nothing was measured."""


@dataclass(frozen=True)
class _Heard:
    """A row of the table, its columns in their order."""

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
    """Write the table, a row a take."""
    files.check_own(path)
    with files.writing(path), path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[Row]:
    """The table's rows. A measure is a number, and None where nothing was measured.

    Raises:
        UserError: the table is missing or not the one that `write` writes.
    """
    again = "run `dvc repro -f evaluate ceiling`"
    found = [vars(row) for row in rows.read(path, _Heard, again)]
    for row, (above, below) in product(found, RATIOS.values()):
        if (row[above] is None) != (row[below] is None):
            raise UserError(f"{path} has only one of {above} and {below} in the row of {row['id']}; {again}.")
    return found


def mishap(row: Row) -> bool | None:
    """Whether anything went wrong in a take, by any of SHARES; None where none of them was looked for."""
    found = [row[column] == bad for column, bad in SHARES.values() if row[column] is not None]
    return any(found) if found else None


def sums_by_sentence(rows: Sequence[Row], name: str) -> tuple[dict[str, float], dict[str, float]]:
    """Sum and count of a measure by sentence, over its takes; sentences where it was not measured are left out."""
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
    """Every measure that the rows have, without an interval; and the share of takes with a mishap."""
    found: dict[str, float] = {}
    for name in AVERAGED:
        sums, counts = sums_by_sentence(rows, name)
        if sums:
            found[name] = sum(sums.values()) / sum(counts.values())
    seen = [bad for row in rows if (bad := mishap(row)) is not None]
    return found | ({"mishaps": float(np.mean(seen))} if seen else {})
