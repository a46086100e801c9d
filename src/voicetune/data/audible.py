"""Whether a sound has anything in it that can be measured."""

import numpy as np

_SHORTEST = 0.25  # seconds; a sound shorter than a syllable says nothing about a voice
_SILENCE = 1e-4  # peak; -80 dB of full scale, far below any speech


def audible(samples: np.ndarray, rate: int) -> bool:
    """Whether a sound is finite, not silent, and at least 0.25 s long.

    Args:
        samples: (samples,) at `rate` Hz.
    """
    enough = len(samples) >= _SHORTEST * rate
    return bool(enough and np.isfinite(samples).all() and np.abs(samples).max() >= _SILENCE)
