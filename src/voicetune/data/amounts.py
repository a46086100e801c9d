"""Counts clips and minutes, for metrics/prepare.json and for the terminal."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table

from voicetune.data.clip import Clip
from voicetune.data.left_out import LeftOut
from voicetune.data.split import SIDES


def figures(clips: list[Clip], left_out: list[LeftOut], sources: list[str]) -> dict[str, Any]:
    """Contents of metrics/prepare.json: clips and minutes in all, per source and side; clips left out, by reason."""
    per_source = {}
    for name in sources:
        own = [entry for entry in clips if entry.source == name]
        per_source[name] = {**count_clips(own), **_by_side(own)}
    reasons = Counter(entry.reason.split(": ")[0] for entry in left_out)
    return {**count_clips(clips), **_by_side(clips), "sources": per_source, "left_out": dict(sorted(reasons.items()))}


def _by_side(clips: list[Clip]) -> dict[str, dict[str, float]]:
    return {side: count_clips(entry for entry in clips if entry.split == side) for side in SIDES}


def count_clips(clips: Iterable[Clip]) -> dict[str, float]:
    """The clips and their minutes."""
    seconds = [entry.seconds for entry in clips]
    return {"clips": len(seconds), "minutes": round(sum(seconds) / 60, 2)}


def table(figures: dict[str, Any]) -> Table:
    """The figures of each source."""
    table = Table("source", "clips", "minutes", *SIDES)
    for name, amount in figures["sources"].items():
        counts = [amount["clips"], amount["minutes"], *(amount[side]["clips"] for side in SIDES)]
        table.add_row(name, *map(str, counts))
    return table


def summary(figures: dict[str, Any], left_out: Path) -> list[str]:
    """Lines with the sums, and how many clips were left out for each reason; `left_out` is the table that says more."""
    reasons = figures["left_out"].items()
    return [
        f"{figures['clips']} clips, {figures['minutes']} minutes",
        *(f"left out: {count} ({reason}), see {left_out}" for reason, count in reasons),
    ]
