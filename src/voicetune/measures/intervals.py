"""Percentile bootstrap intervals over clips (Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13).

The clip is what is drawn again, with replacement, because the tokens of one clip are not independent. The percentiles
are those that a t interval needs (Hesterberg 2015, Am. Stat. 69, the expanded percentile interval): plain ones of eight
sentences hold the truth 86 to 89 times in 100, where these hold it 91 to 95 times.
One seed and one number of clips give the same draws in every call, so figures of two models are
compared on the same resampled clips.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from voicetune.errors import UserError

_NORMAL = 1.959963984540054  # the 0.975 quantile


@dataclass(frozen=True)
class Interval:
    """A figure and its interval, in the unit of the figure."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside. An interval without width (a single clip) excludes nothing."""
        return self.low < self.high and (self.low > 0 or self.high < 0)

    def as_dict(self) -> dict[str, float]:
        """`mean`, `low` and `high`, for JSON."""
        return asdict(self)


def ratio_interval(sums: ArrayLike, counts: ArrayLike, resamples: int, seed: int, level: float = 0.95) -> Interval:
    """Interval of sum(sums) / sum(counts), such as nats per token (Efron & Tibshirani 1993, ch. 13).

    Args:
        sums: one sum a clip, shape (clips,).
        counts: what each sum is over, above 0, shape (clips,).
        resamples: number of bootstrap draws.
        seed: of the draws.
        level: how often such intervals are to hold the truth.

    Raises:
        UserError: no clips, a clip without tokens, or a figure that is not finite.
    """
    values, sizes = _checked(sums, counts)
    weights = _draws(len(values), resamples, seed)
    drawn = (weights @ values) / (weights @ sizes)
    tail = _tail(len(values), level)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(float(values.sum() / sizes.sum()), float(low), float(high))


def paired_difference(
    sums_a: ArrayLike, sums_b: ArrayLike, counts: ArrayLike, resamples: int, seed: int, level: float = 0.95
) -> Interval:
    """Interval of b's ratio minus a's, both over the same clips in every draw (ibid., ch. 13).

    Args and errors are those of `ratio_interval`; below 0 means that b is lower.
    """
    difference = np.asarray(sums_b, np.float64) - np.asarray(sums_a, np.float64)
    return ratio_interval(difference, counts, resamples, seed, level)


def mean_interval(values: ArrayLike, resamples: int, seed: int, level: float = 0.95) -> Interval:
    """Interval of a mean over clips: the ratio with one count a clip."""
    return ratio_interval(values, np.ones(np.shape(values)), resamples, seed, level)


def share_interval(share: float, size: float) -> Interval:
    """95 % score interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22): unlike a bootstrap's, it has a width where
    nothing, or everything, was counted.

    Args:
        share: 0 to 1.
        size: what it is a share of, in independent observations, above 0.
    """
    z = _NORMAL
    centre = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * math.sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def paired_mean_difference(
    values_a: ArrayLike, values_b: ArrayLike, resamples: int, seed: int, level: float = 0.95
) -> Interval:
    """Interval of mean(b) - mean(a) over the same clips: the paired difference with one count a clip."""
    return paired_difference(values_a, values_b, np.ones(np.shape(values_a)), resamples, seed, level)


def _checked(sums: ArrayLike, counts: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    values, sizes = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    if values.ndim != 1 or values.shape != sizes.shape:
        raise ValueError(f"sums {values.shape} and counts {sizes.shape} must be (clips,)")
    if not len(values):
        raise UserError("there are no test clips to measure; raise prepare.test in params.yaml.")
    if not np.isfinite(values).all() or not (np.isfinite(sizes) & (sizes > 0)).all():
        raise UserError("a test clip has no tokens or a figure that is not finite; run `dvc repro evaluate` again.")
    return values, sizes


def _tail(clips: int, level: float) -> float:
    """Share of the draws beyond either end, such that draws of a normal mean would end where its t interval does."""
    if clips == 1:
        return 0.0  # all draws are the same
    wide = stats.t.ppf((1 + level) / 2, clips - 1) * math.sqrt(clips / (clips - 1))
    return float(stats.norm.cdf(-wide))


def _draws(clips: int, resamples: int, seed: int) -> np.ndarray:
    """How often each clip is drawn: (resamples, clips) float64, rows summing to `clips`."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(clips, np.full(clips, 1 / clips), size=resamples).astype(np.float64)
