"""Figures of a table of takes with 95 % intervals, and paired differences between two tables."""

from collections.abc import Sequence

import numpy as np

from voicetune.measures.catalogue import FIGURES
from voicetune.measures.intervals import Interval, paired_difference, ratio_interval, share_interval
from voicetune.measures.measure import Figure, Row, Share
from voicetune.measures.table import sums_by_sentence


def figures(rows: Sequence[Row], resamples: int, seed: int) -> dict[str, float]:
    """Every figure that was measured on the rows, and `_low` and `_high` of its 95 % interval over sentences.

    The bootstrap draws all takes of a sentence together, because they are not independent. For the same reason the
    interval of a share counts each sentence as one observation. It is too wide if the takes of a sentence go wrong
    independently of each other.
    """
    found: dict[str, float] = {}
    for figure in FIGURES:
        sums, counts = sums_by_sentence(rows, figure)
        if not sums:
            continue
        if isinstance(figure.of, Share):
            interval = share_interval(sum(sums.values()) / sum(counts.values()), len(sums))
        else:
            interval = ratio_interval(list(sums.values()), list(counts.values()), resamples, seed)
        found |= named(figure.name, interval)
    return found


def difference(a: Sequence[Row], b: Sequence[Row], figure: Figure, resamples: int, seed: int) -> Interval | None:
    """Interval of b's figure minus a's over the sentences that both have; None if there are none.

    Sentences are weighted by their counts (takes, characters or words). If a sentence's counts differ between a and b,
    all sentences get the same weight.
    """
    (sums_a, counts_a), (sums_b, counts_b) = sums_by_sentence(a, figure), sums_by_sentence(b, figure)
    both = sorted(set(sums_a) & set(sums_b))
    if not both:
        return None
    if any(counts_a[id] != counts_b[id] for id in both):  # a take could not be measured in one of them
        return paired_difference(
            [sums_a[id] / counts_a[id] for id in both], [sums_b[id] / counts_b[id] for id in both], np.ones(len(both)),
            resamples, seed,
        )  # fmt: skip
    return paired_difference(
        [sums_a[id] for id in both], [sums_b[id] for id in both], [counts_a[id] for id in both], resamples, seed
    )


def named(name: str, interval: Interval) -> dict[str, float]:
    """A figure and its interval as three keys."""
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
