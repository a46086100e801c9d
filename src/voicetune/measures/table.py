"""What was heard of each take: one row a take, kept as a table, and the figures of such a table, without intervals."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voicetune.errors import UserError

TABLE = "takes.csv"
COLUMNS = (
    "id", "take", "speaker", "language", "text", "file", "seconds", "heard", "characters", "character_errors", "words",
    "word_errors", "secs", "secs_xtts", "mos", "mos_signal", "mos_background", "f0_rmse_cents", "voicing_error",
    "mcd_db", "duration_ratio", "stopped", "skipped", "repeated", "long_silence", "clipped",
)  # fmt: skip
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


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the table, a row a take."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[Row]:
    """The table's rows; a cell is a number where it is one of a measure, and None where nothing was measured.

    Raises:
        UserError: the table is missing or not the one that `write` writes.
    """
    again = "run `dvc repro -f evaluate`"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise UserError(f"{path} should have the columns {', '.join(COLUMNS)}; {again}.")
            return [{name: _cell(name, text) for name, text in row.items()} for row in reader]
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {again}.") from None
    except (ValueError, csv.Error, AttributeError):
        raise UserError(f"{path} has a cell that cannot be read; {again}.") from None


def _cell(name: str, text: str) -> Any:
    if name in ("id", "speaker", "language", "text", "file", "heard"):
        return text
    return float(text) if text else None


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
