"""A recording that is given as --reference."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from voicetune.errors import UserError

if TYPE_CHECKING:
    import numpy as np

_SHORTEST = 0.5  # seconds; XTTS's own recipe asks for three to six


def read(path: Path) -> "np.ndarray":
    """Read and clean a reference recording: (samples,) float32 at 22,050 Hz."""
    from voicetune.data import audio, recordings

    samples, rate = recordings.read(path)
    if fault := audio.fault_of(samples):
        raise UserError(f"{path} is {fault}; give a recording of the speaker as --reference.")
    cleaned = audio.clean(samples, rate, trim_db=45, loudness=-23, peak=0.95)
    if (seconds := cleaned.size / audio.SAMPLE_RATE) < _SHORTEST:
        raise UserError(f"{path} has {seconds:.2f} s of sound; --reference needs {_SHORTEST} s, better 6.")
    return cleaned


def name_of(path: Path) -> str:
    """A file's name in UTF-8; invalid bytes become replacement characters."""
    return os.fsencode(path.name).decode("utf-8", "replace")
