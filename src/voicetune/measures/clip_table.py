"""One model's cross entropies, a row a test clip, as a table that two models are compared by."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voicetune.errors import UserError

TABLE = "clips.csv"
COLUMNS = ("id", "mel_nats", "mel_tokens", "text_nats", "text_tokens", "top1", "top10")
_AGAIN = "measure again with `dvc repro -f evaluate`"


@dataclass(frozen=True)
class ClipTable:
    """ids: of the clips. columns: each of COLUMNS but the first, (clips,) float64."""

    ids: list[str]
    columns: Mapping[str, np.ndarray]

    def mean(self, kind: str) -> float:
        """Nats per token over all clips; kind: `mel` or `text`."""
        return float(self.columns[f"{kind}_nats"].sum() / self.columns[f"{kind}_tokens"].sum())


def write(path: Path, ids: Sequence[str], columns: Mapping[str, np.ndarray]) -> None:
    """Write the table; sums of nats keep all their digits."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for i, id in enumerate(ids):
            cells = (columns[name][i] for name in COLUMNS[1:])
            writer.writerow([id, *(int(cell) if cell.is_integer() else repr(float(cell)) for cell in cells)])


def read(path: Path) -> ClipTable:
    """Read what `write` wrote.

    Raises:
        UserError: the file is missing, empty, or not such a table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro evaluate`.") from None
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"{path} is not a CSV file; {_AGAIN}.") from None
    if tuple(header) != COLUMNS or not rows:
        raise UserError(f"{path} should have rows, and the columns {', '.join(COLUMNS)}; {_AGAIN}.")
    try:
        numbers = np.array([row[1:] for row in rows], np.float64)
    except ValueError:
        numbers = np.empty((0, 0))
    if numbers.shape != (len(rows), len(COLUMNS) - 1) or not np.isfinite(numbers).all():
        raise UserError(f"{path} has a row without six finite numbers; {_AGAIN}.")
    return ClipTable([row[0] for row in rows], dict(zip(COLUMNS[1:], numbers.T, strict=True)))
