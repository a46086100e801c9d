"""The figures of a listening test: preference, mean opinion score and agreement, each with its interval."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from voicetune.measures.intervals import Interval, share_interval

SCORES = (1, 2, 3, 4, 5)  # bad, poor, fair, good, excellent (ITU-T P.800, annex B)


def preference(second: int, ties: int, votes: int) -> Interval:
    """Share that prefers the second of two, with its 95 % score interval (Wilson 1927, J. Am. Stat. Assoc. 22).

    A tie counts as half a vote for each, so that hearing no difference pulls towards 0.5 instead of vanishing; the
    interval is then a little too wide. Votes are taken as independent: with many votes of few listeners it is a
    little too narrow.

    Args:
        second: votes for the second.
        votes: all votes, ties among them, above 0.
    """
    return share_interval((second + ties / 2) / votes, votes)


def mean_score(
    scores: ArrayLike, listeners: Sequence[str], clips: Sequence[str], resamples: int, seed: int
) -> Interval:
    """Mean opinion score, with a 95 % percentile interval of a bootstrap over listeners and clips.

    Both are drawn anew with replacement, and a rating weighs as often as its listener times its clip is drawn (Owen
    2007, Ann. Appl. Stat. 1, the pigeonhole bootstrap), so the interval is for other listeners and other sentences.
    With one listener only clips are drawn, and it speaks for that listener; with two or three it is too narrow. One
    clip shows nothing: the interval is then the whole scale.

    Args:
        scores: 1 to 5, shape (ratings,).
        listeners: who gave each.
        clips: what each is of.
        resamples: number of bootstrap draws.
        seed: of the draws.
    """
    values = np.asarray(scores, np.float64)
    mean = float(values.mean())
    if len(set(clips)) < 2:
        return Interval(mean, float(SCORES[0]), float(SCORES[-1]))
    rng = np.random.default_rng([seed, 9])
    weights = _draws(listeners, resamples, rng) * _draws(clips, resamples, rng)
    total = weights.sum(axis=1)
    drawn = (weights @ values)[total > 0] / total[total > 0]  # where ratings are missing, a draw may hold none
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(mean, float(low), float(high))


def _draws(names: Sequence[str], resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often the group of each rating is drawn: (resamples, ratings) float64."""
    groups, group = np.unique(np.asarray(names), return_inverse=True)
    counts = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=resamples)
    return counts[:, group].astype(np.float64)


def agreement(ratings: Sequence[tuple[str, str, int]]) -> float | None:
    """Krippendorff's alpha for ordinal data: 1 is full agreement, 0 what chance gives, below 0 less than that.

    Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, part D, with the ordinal metric. Missing ratings
    are allowed.

    Args:
        ratings: listener, clip, score; no listener rates a clip twice.

    Returns:
        alpha; None if no clip has two ratings, or all scores are the same, so that nothing could disagree.
    """
    units: dict[str, list[int]] = {}
    for _, clip, score in ratings:
        units.setdefault(clip, []).append(SCORES.index(score))
    coincidences = np.zeros((len(SCORES), len(SCORES)))
    for scores in units.values():
        if len(scores) > 1:
            counts = np.bincount(scores, minlength=len(SCORES)).astype(np.float64)
            coincidences += (np.outer(counts, counts) - np.diag(counts)) / (len(scores) - 1)
    sizes = coincidences.sum(axis=1)
    below = np.cumsum(sizes) - sizes / 2  # ratings up to the middle of each score
    distances = (below[:, None] - below[None, :]) ** 2
    expected = (np.outer(sizes, sizes) * distances).sum() / max(sizes.sum() - 1, 1)
    return float(1 - (coincidences * distances).sum() / expected) if expected else None
