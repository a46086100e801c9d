"""Compute whose voice a model speaks with from the recordings of a dataset."""

from collections.abc import Iterable

import numpy as np

from voicetune.data.codes import Codes
from voicetune.data.dataset import Dataset
from voicetune.model import REFERENCE_SECONDS, Model, Speaker


def choose_longest(codes: Codes, speaker: str) -> list[int]:
    """Positions of a speaker's longest training clips, until they have 30 s together, or all clips are taken."""
    known = sorted(
        codes.training_clips_of(speaker).tolist(), key=lambda i: (-codes.clips[i].seconds, codes.clips[i].id)
    )
    chosen, total = [], 0.0
    for i in known:
        if total >= REFERENCE_SECONDS:
            break
        chosen.append(i)
        total += codes.clips[i].seconds
    return chosen


def read_longest(data: Dataset, speaker: str) -> list[np.ndarray]:
    """The sounds of a speaker's longest training clips, to pass to `Model.compute_speaker`."""
    return data.sounds(choose_longest(data.codes, speaker))


def compute_speakers(model: Model, data: Dataset, names: Iterable[str]) -> dict[str, Speaker]:
    """Compute the speakers of a dataset by name, each from the speaker's longest training clips."""
    return {name: model.compute_speaker(read_longest(data, name)) for name in sorted(set(names))}
