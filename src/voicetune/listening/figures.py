"""The figures of a listening test: preference and mean opinion score with their intervals, and agreement."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from voicetune.measures.intervals import Interval, share_interval

SCORES = (1, 2, 3, 4, 5)  # bad, poor, fair, good, excellent (ITU-T P.800, annex B)


def preference(second: int, ties: int, votes: int) -> Interval:
    """Share of votes for the second of two, with its 95 % score interval (Wilson 1927, J. Am. Stat. Assoc. 22).

    A tie counts as half a vote for each. So a listener who hears no difference pulls the share towards 0.5 and is not
    ignored. Ties make the interval a little too wide. The interval treats votes as independent, so it is a little too
    narrow for many votes from few listeners.

    Args:
        second: votes for the second.
        votes: all votes, including ties, above 0.
    """
    return share_interval((second + ties / 2) / votes, votes)


def mean_score(
    scores: ArrayLike, listeners: Sequence[str], clips: Sequence[str], resamples: int, seed: int
) -> Interval:
    """Mean opinion score, with a 95 % percentile interval from a bootstrap over listeners and clips.

    Each draw takes listeners and clips with replacement. The weight of a rating is the number of times its listener is
    drawn, times the number of times its clip is drawn (Owen 2007, Ann. Appl. Stat. 1, the pigeonhole bootstrap). So the
    interval also holds for other listeners and other sentences. With one listener only the clips vary, and the interval
    holds for that listener alone. With two or three listeners it is too narrow. With one clip it is the whole scale,
    because one clip shows nothing.

    Args:
        scores: 1 to 5, shape (ratings,).
        listeners: who gave each score.
        clips: the clip of each score.
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
    drawn = (weights @ values)[total > 0] / total[total > 0]  # if ratings are missing, a draw may hold none
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(mean, float(low), float(high))


def _draws(names: Sequence[str], resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often the listener or clip of each rating is drawn: (resamples, ratings) float64."""
    groups, group = np.unique(np.asarray(names), return_inverse=True)
    counts = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=resamples)
    return counts[:, group].astype(np.float64)


def agreement(ratings: Sequence[tuple[str, str, int]]) -> float | None:
    """Krippendorff's alpha for ordinal data: 1 is full agreement, 0 is chance, below 0 is less agreement than chance.

    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, part D, with the ordinal metric. Missing
    ratings are allowed.

    Args:
        ratings: listener, clip, score; no listener rates a clip twice.

    Returns:
        alpha; None if no clip has two ratings, or if all scores are the same, so that disagreement was not possible.
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
    below = np.cumsum(sizes) - sizes / 2  # number of ratings up to the middle of each score
    distances = (below[:, None] - below[None, :]) ** 2
    expected = (np.outer(sizes, sizes) * distances).sum() / max(sizes.sum() - 1, 1)
    return float(1 - (coincidences * distances).sum() / expected) if expected else None
