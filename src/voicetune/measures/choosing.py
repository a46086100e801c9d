"""How a phase's best model is chosen: what `select` may be, the measures that it needs, and the score that decides."""

from collections.abc import Mapping

from voicetune.measures.catalogue import FIGURES, MEASURES
from voicetune.measures.measure import Figure

_BY_EAR = {figure.name: figure for figure in FIGURES if figure.selects}
SELECTS = ("mel_ce", *_BY_EAR, "composite")


def measures_of(select: str) -> tuple[str, ...]:
    """The names of the measures that a phase with this `select` needs; none if it chooses by mel CE."""
    return tuple(name for name, one in MEASURES.items() if any(_counts(figure, select) for figure in one.figures))


def _counts(figure: Figure, select: str) -> bool:
    return figure.composite is not None if select == "composite" else figure.name == select


def score(select: str, found: Mapping[str, float]) -> float:
    """The score of a model by ear (lower is better), from the figures of what it spoke."""
    if select == "composite":
        return sum(figure.composite(found[figure.name]) for figure in FIGURES if figure.composite)
    return -_BY_EAR[select].gain(found[select])
