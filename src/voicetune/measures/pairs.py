"""Compares models: the figures of each with intervals, and paired differences between two of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voicetune.errors import UserError
from voicetune.measures import bounds, catalogue, clip_table, table
from voicetune.measures.clip_table import ClipTable
from voicetune.measures.intervals import Interval, paired_difference, ratio_interval
from voicetune.measures.measure import Ratio, Row
from voicetune.params.models import MODELS

Figures = dict[str, Any]


def of_clips(clips: ClipTable, resamples: int, seed: int) -> Figures:
    """Cross entropies and top-1 and top-10 shares of one model, each with its interval over clips."""
    found: Figures = {"clips": len(clips.ids)}
    for figure in clip_table.FIGURES:
        if isinstance(figure.of, Ratio):
            sums, counts = clips.columns[figure.of.above], clips.columns[figure.of.below]
            found |= bounds.named(figure.name, ratio_interval(sums, counts, resamples, seed))
    return found


def of_takes(rows: Sequence[Row], resamples: int, seed: int) -> Figures:
    """The figures of one row's takes, each with its interval over sentences."""
    counts = {"sentences": len({row["id"] for row in rows}), "takes": len(rows)}
    return {**counts, **bounds.figures(rows, resamples, seed)}


def check_same_task(tables: Mapping[str, ClipTable], data: Mapping[str, str]) -> None:
    """Check that all models were measured on the same clips, tokens and data, as a paired difference needs.

    Args:
        tables: by model.
        data: by model, the hash of the dataset that it was measured on.

    Raises:
        UserError: the clips, the numbers of tokens or the datasets differ.
    """
    first, *others = tables
    for model in others:
        what = task_difference(tables[first], tables[model]) or ("other data" if data[model] != data[first] else "")
        if what:
            raise UserError(
                f"metrics/evaluate/{model} was measured on {what} than {first}; measure again with "
                "`dvc repro -s -f evaluate`."
            )


def task_difference(a: ClipTable, b: ClipTable) -> str:
    """What forbids a paired difference between two tables: `other clips` or `other numbers of tokens`; else empty."""
    if a.ids != b.ids:
        return "other clips"
    same = all(np.array_equal(a.columns[name], b.columns[name]) for name in ("mel_tokens", "text_tokens"))
    return "" if same else "other numbers of tokens"


def check_same_takes(rows: Mapping[str, Sequence[Row]]) -> None:
    """Check that all models said the same takes, and that recordings and codec have each sentence once, or no rows.

    Raises:
        UserError: a table lacks a take that another table has, or has one twice.
    """
    ids = {row: sorted((take["id"], take["take"]) for take in takes) for row, takes in rows.items()}
    sentences = [take for take in ids["base"] if take[1] == 0]
    for row, takes in ids.items():
        if takes != ids["base"] if row in MODELS else takes and takes != sentences:
            raise UserError(
                f"metrics/evaluate/{row}/takes.csv and metrics/evaluate/base/takes.csv list different takes; measure "
                "again with "
                "`dvc repro -s -f ceiling evaluate`."
            )


def compare_clips(a: ClipTable, b: ClipTable, resamples: int, seed: int) -> Figures:
    """Differences b - a of the cross entropies, with intervals over clips."""
    pair: Figures = {}
    for kind in ("mel", "text"):
        tokens = a.columns[f"{kind}_tokens"]
        interval = paired_difference(a.columns[f"{kind}_nats"], b.columns[f"{kind}_nats"], tokens, resamples, seed)
        pair[f"{kind}_ce"] = _change(a.mean(kind), b.mean(kind), interval)
    return pair


def compare_takes(a: Sequence[Row], b: Sequence[Row], resamples: int, seed: int) -> Figures:
    """Differences b - a of the figures of takes, with intervals over sentences."""
    before, after = table.figures(a), table.figures(b)
    pair: Figures = {}
    for figure in catalogue.AVERAGED:
        interval = bounds.difference(a, b, figure, resamples, seed)
        if interval is not None:
            pair[figure.name] = _change(before[figure.name], after[figure.name], interval)
    return pair


def _change(before: float, after: float, interval: Interval) -> Figures:
    return {
        "from": before,
        "to": after,
        "difference": interval.mean,
        "relative": interval.mean / before if before else None,
        "low": interval.low,
        "high": interval.high,
        "excludes_zero": interval.excludes_zero,
    }
