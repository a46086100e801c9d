"""The table of one model's cross entropies, one row per test clip; stage compare uses it to compare models."""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from voicetune import files
from voicetune.data import csv_tables
from voicetune.errors import UserError
from voicetune.measures.measure import Figure, Ratio
from voicetune.shapes import Number, Plain

TABLE = "clips.csv"
_Tokens = Annotated[float, Field(ge=1, le=1e9)]
_AGAIN = "measure again with `dvc repro -s -f evaluate`"


@dataclass(frozen=True)
class _Row:
    id: Plain
    mel_nats: Number
    mel_tokens: _Tokens
    text_nats: Number
    text_tokens: _Tokens
    top1: Number
    top10: Number


COLUMNS = tuple(field.name for field in fields(_Row))
FIGURES = (
    Figure(
        "mel_ce", "mel CE", 3, "lower", "nats per audio token, test clips", Ratio("mel_nats", "mel_tokens"), metric=True
    ),
    Figure(
        "text_ce", "text CE", 3, "lower", "nats per text token, unscaled", Ratio("text_nats", "text_tokens"),
        metric=True, title="text\nCE",
    ),
    Figure(
        "mel_ce_stock", "mel CE, stock", 3, "lower", "as the stock trainer measures it; not comparable", None,
        metric=True, title="stock",
    ),
    Figure(
        "top1", "top 1", 3, "higher", "share of the test clips' codes that the model finds likeliest",
        Ratio("top1", "mel_tokens"),
    ),
    Figure("top10", "top 10", 3, "higher", "share among its ten likeliest", Ratio("top10", "mel_tokens")),
)  # fmt: skip
"""The figures of the test clips, always measured. `mel_ce_stock` is no sum over the rows of this table."""


@dataclass(frozen=True)
class ClipTable:
    """ids: of the clips. columns: all of COLUMNS except the first, each (clips,) float64."""

    ids: list[str]
    columns: Mapping[str, np.ndarray]

    def mean(self, kind: str) -> float:
        """Nats per token over all clips; kind: `mel` or `text`."""
        return float(self.columns[f"{kind}_nats"].sum() / self.columns[f"{kind}_tokens"].sum())

    def only(self, ids: Collection[str]) -> "ClipTable":
        """The rows of these clips."""
        kept = np.array([id in ids for id in self.ids], bool)
        return ClipTable(
            [id for id in self.ids if id in ids], {name: values[kept] for name, values in self.columns.items()}
        )


def write(path: Path, ids: Sequence[str], columns: Mapping[str, np.ndarray]) -> None:
    """Write the table; sums of nats keep all their digits."""
    with files.writing(path), path.open("w", encoding="utf-8", newline="") as file:
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
    found = csv_tables.read(path, _Row, _AGAIN)
    if not found:
        raise UserError(f"{path} has no rows; {_AGAIN}.")
    columns = {name: np.array([getattr(row, name) for row in found], np.float64) for name in COLUMNS[1:]}
    return ClipTable([row.id for row in found], columns)
