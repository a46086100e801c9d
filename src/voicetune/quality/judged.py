"""What quality control says of a clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from voicetune.data.clip import Clip


@dataclass(frozen=True)
class Check:
    """One figure of a clip.

    name: its key in params.yaml and its column of the table. label, unit, digits: how people see it. better: which way
    is better. means: what it is. remedy: what a person can do about a bad figure.
    """

    name: str
    label: str
    unit: str
    digits: int
    better: Literal["lower", "higher"]
    means: str
    remedy: str


@dataclass(frozen=True)
class Reason:
    """Why a clip is left out, or what is odd about it. check: which figure is past its limit. says: in words."""

    check: Check
    says: str


@dataclass(frozen=True)
class Judged:
    """A clip with its figures.

    figures: by check; None where one cannot be computed. reasons: why the clip is left out; it is kept if there are
    none. warnings: what is odd, but no reason to leave it out. heard: what the recogniser heard; empty if it was not
    asked. decision: `accept` if a person keeps the clip whatever its reasons, else empty.
    """

    clip: Clip
    figures: dict[str, float | None]
    reasons: list[Reason]
    warnings: list[Reason]
    heard: str = ""
    decision: str = ""

    @property
    def kept(self) -> bool:
        """Whether later stages use the clip."""
        return self.decision == "accept" or not self.reasons


def in_words(reasons: Sequence[Reason]) -> str:
    """Reasons in one line, as the tables have them."""
    return "; ".join(one.says for one in reasons)
