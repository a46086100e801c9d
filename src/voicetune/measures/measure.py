"""What a measure of takes declares: its figures, how they are computed, and how they are shown.

Each file of `catalogue` declares one `Measure`. Parameters, tables, intervals, comparison, verdict and report are built
from these declarations. They import nothing that takes time, because the check of params.yaml reads them too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from voicetune.measures.material import Material
    from voicetune.measures.takes import Take

Row = dict[str, Any]
"""One take's row of takes.csv. The column of a measure is None if it was not measured."""
Open = Callable[["Material"], Callable[["Take", int, str], Row]]


@dataclass(frozen=True)
class Mean:
    """The mean of a column over takes."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def of(self, row: Row) -> tuple[float, float] | None:
        """What one take adds to the figure: a sum, and its count. None if it was not measured."""
        return None if row[self.column] is None else (row[self.column], 1.0)


@dataclass(frozen=True)
class Ratio:
    """The sum of one column over the sum of another, such as errors over characters."""

    above: str
    below: str

    @property
    def columns(self) -> tuple[str, ...]:
        return self.below, self.above

    def of(self, row: Row) -> tuple[float, float] | None:
        """See `Mean.of`; also None if there is nothing to divide by."""
        return (row[self.above], row[self.below]) if row[self.above] is not None and row[self.below] else None


@dataclass(frozen=True)
class Share:
    """The share of takes in which a column has this value. With several columns: in which any of them has its value."""

    bad: Mapping[str, int]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.bad)

    def of(self, row: Row) -> tuple[float, float] | None:
        """See `Mean.of`; columns that were not measured do not count."""
        seen = [row[column] == value for column, value in self.bad.items() if row[column] is not None]
        return (float(any(seen)), 1.0) if seen else None


@dataclass(frozen=True)
class Figure:
    """One figure of a row (a model, the recordings or the codec).

    name: its key in every file. label, digits: its name and decimals for people. better: `lower`, `higher`, or empty if
    neither is better. means: what it is, with its unit, for the report. of: how it is computed from the columns of a
    table of takes (or of clips); None for a figure that is computed otherwise, and has no interval.

    metric: whether it is in `dvc metrics`, in heard.csv and among the report's paired differences.
    cost: the change for the worse that a listener would care about. A figure that has one is named by the verdict, the
    findings, the summary of the report and the terminal. Add it to the limits in docs/measuring.md.
    selects: whether a phase's `select` may be this figure.
    composite: its term in `select: composite`, 0 for perfect speech and about 1 for useless speech.
    one: how the report shows it for one take, such as "CER {:.2f}"; empty: not at all. A share shows it for a bad take.
    title: its name in the narrow table of the terminal, if `label` is too long.
    """

    name: str
    label: str
    digits: int
    better: Literal["lower", "higher", ""]
    means: str
    of: Mean | Ratio | Share | None
    metric: bool = False
    cost: float | None = None
    selects: bool = False
    composite: Callable[[float], float] | None = None
    one: str = ""
    title: str = ""

    def __post_init__(self) -> None:
        if not self.better and (self.cost is not None or self.selects or self.composite):
            raise ValueError(f"the figure {self.name} judges models, so it has to say what is `better`")

    def gain(self, difference: float) -> float:
        """How much better a difference is; below 0 is worse."""
        return -difference if self.better == "lower" else difference


@dataclass(frozen=True)
class Measure:
    """One name that `evaluate.measures` in params.yaml may have. The name is that of the file which declares it.

    open: called once with what may be used besides a take (`material.Material`). Returns the function that measures:
    its arguments are a take, the sample rate of its sound in Hz, and the text that the recogniser read ("" without
    `reads`), and it returns the take's columns. It runs in several threads at once. Libraries that take time to import
    belong inside it.
    reads: whether it needs the recogniser's text.
    first_take_only: for a slow measure that says the same about every take of a sentence.
    place: where its columns and figures stand among those of the others; equal places are ordered by name.
    """

    figures: tuple[Figure, ...]
    open: Open
    reads: bool = False
    first_take_only: bool = False
    place: int = 100

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns in takes.csv: those that its figures are computed from."""
        return tuple(dict.fromkeys(column for one in self.figures if one.of for column in one.of.columns))
