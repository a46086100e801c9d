"""Which clips a step trains on: a pure function of (seed, step). No loader state, nothing to resume.

An epoch contains every clip exactly once. Each batch holds clips of similar length, so there is little padding.
The order of the batches is random.
"""

import numpy as np

_SORT_WINDOW = 16  # batches whose clips are sorted by length together: little padding, but the order stays random


def epoch(seed: int, number: int, lengths: np.ndarray, batch: int) -> list[np.ndarray]:
    """All batches of one epoch: index arrays that together hold every clip once."""
    rng = np.random.default_rng([seed, 1, number])
    order = rng.permutation(len(lengths))
    window = batch * _SORT_WINDOW
    parts = [order[i : i + window] for i in range(0, len(order), window)]
    order = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
    batches = [order[i : i + batch] for i in range(0, len(order), batch)]
    return [batches[i] for i in rng.permutation(len(batches))]


def steps_per_epoch(clips: int, batch: int) -> int:
    return -(-clips // batch)


def clips_of_step(seed: int, step: int, lengths: np.ndarray, batch: int) -> np.ndarray:
    """The clips of optimizer step `step` (0-based), as positions in `lengths`."""
    per_epoch = steps_per_epoch(len(lengths), batch)
    return epoch(seed, step // per_epoch, lengths, batch)[step % per_epoch]
