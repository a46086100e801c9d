"""The table of what was measured on each take, one row per take, and its figures without intervals."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields, make_dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from voicetune import files
from voicetune.data import csv_tables
from voicetune.errors import UserError
from voicetune.measures import catalogue
from voicetune.measures.measure import Figure, Ratio, Row
from voicetune.shapes import Number, Plain

TABLE = "takes.csv"

_Measured = Annotated[Number | None, BeforeValidator(lambda cell: None if cell == "" else cell)]
"""A number; None for an empty cell, which means that nothing was measured."""


@dataclass(frozen=True)
class _FirstColumns:
    """The first columns of a row; those of the measures follow."""

    id: Plain
    take: Annotated[int, Field(ge=0, le=10_000)]
    speaker: str
    language: str
    text: str
    file: str
    seconds: _Measured
    heard: str


def _check_columns() -> None:
    """Check that each column has one meaning. Otherwise a measure would overwrite what another one measured."""
    known = {field.name for field in fields(_FirstColumns)}
    for name, measure in catalogue.MEASURES.items():
        if taken := sorted(known.intersection(measure.columns)):
            raise UserError(
                f"the measure {name} has the column {taken[0]}, which {TABLE} has already; rename it in"
                f" src/voicetune/measures/catalogue/{name}.py."
            )
        known.update(measure.columns)


_check_columns()
_Row = make_dataclass("_Row", [(name, _Measured) for name in catalogue.COLUMNS], bases=(_FirstColumns,), frozen=True)
COLUMNS = tuple(field.name for field in fields(_Row))
_RATIOS = [figure.of for figure in catalogue.FIGURES if isinstance(figure.of, Ratio)]


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
    read: list[object] = csv_tables.read(path, _Row, again)
    found = [vars(row) for row in read]
    for row, ratio in product(found, _RATIOS):
        if (row[ratio.above] is None) != (row[ratio.below] is None):
            raise UserError(
                f"{path} has a value in only one of the columns {ratio.above} and {ratio.below} in the row of"
                f" {row['id']}; {again}."
            )
    return found


def sums_by_sentence(rows: Sequence[Row], figure: Figure) -> tuple[dict[str, float], dict[str, float]]:
    """Sum and count of a figure over each sentence's takes, by id; sentences that were not measured are left out."""
    assert figure.of is not None
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    for row in rows:
        if (added := figure.of.of(row)) is not None:
            sums[row["id"]] = sums.get(row["id"], 0.0) + added[0]
            counts[row["id"]] = counts.get(row["id"], 0.0) + added[1]
    return sums, counts


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """Every figure that was measured on the rows, without its interval."""
    found: dict[str, float] = {}
    for figure in catalogue.FIGURES:
        sums, counts = sums_by_sentence(rows, figure)
        if sums:
            found[figure.name] = sum(sums.values()) / sum(counts.values())
    return found
