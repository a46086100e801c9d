"""Compute whose voice a model speaks with from the recordings of a dataset."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from voicetune.data.codes import Codes
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


def read_longest(codes: Codes, clips: Path, speaker: str) -> list[np.ndarray]:
    """The sounds of a speaker's longest training clips, to pass to `Model.compute_speaker`.

    Args:
        clips: the folder of the cleaned clips.
    """
    return read_sounds(codes, clips, choose_longest(codes, speaker))


def read_sounds(codes: Codes, clips: Path, chosen: Iterable[int]) -> list[np.ndarray]:
    """The sounds of clips, each (samples,) float32 at 22,050 Hz."""
    return [soundfile.read(clips / codes.clips[i].file, dtype="float32")[0] for i in chosen]


def compute_speakers(model: Model, codes: Codes, clips: Path, names: Iterable[str]) -> dict[str, Speaker]:
    """Compute the speakers of a dataset by name, each from the speaker's longest training clips."""
    return {name: model.compute_speaker(read_longest(codes, clips, name)) for name in sorted(set(names))}
