"""Cleans clips: resamples, trims, levels and writes sound without loss. Finds sounds that are no speech.

All later steps work at 22,050 Hz, the rate of XTTS's input. This module imports no torch.
"""

import io
import math
from pathlib import Path

import numpy as np
import soundfile
import soxr

from voicetune import files
from voicetune.errors import UserError

SAMPLE_RATE = 22050
_QUIETEST = 0.001  # -60 dB of full scale; a recording that never exceeds it holds no speech
_FLATTEST = 0.35
_GATE_SECONDS = 0.4  # the block of ITU-R BS.1770


def fault_of(samples: np.ndarray) -> str | None:
    """Why samples are not speech, in a few words: silence, a constant level or noise. None if there is no fault."""
    if np.abs(samples).max(initial=0.0) < _QUIETEST:
        return "silent"
    if np.abs(samples - samples.mean()).max() < _QUIETEST:
        return "a constant level and no sound"
    return "noise and no speech" if _is_noise(samples) else None


def _is_noise(samples: np.ndarray) -> bool:
    """Whether no part of a sound has a pitch or a spectral colour.

    Spectral flatness is the geometric mean of the power over its arithmetic mean. It is 0.56 in every part of white
    noise. In speech it falls below 0.1 wherever there is a vowel.
    """
    size = 1024
    if samples.size < 8 * size:
        return False
    frames = samples[: samples.size // size * size].reshape(-1, size)
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size))))[:, 2:-1] + 1e-12
    loud = power.sum(axis=1) > power.sum(axis=1).max() / 1000
    flatness = np.exp(np.log(power[loud]).mean(axis=1)) / power[loud].mean(axis=1)
    return bool(np.quantile(flatness, 0.1) > _FLATTEST)


def resample(samples: np.ndarray, rate: int, to: int = SAMPLE_RATE) -> np.ndarray:
    """Resample with soxr at its highest quality. Shapes (samples,) in and out."""
    return samples if rate == to else soxr.resample(samples, rate, to, quality="VHQ")


def trim_bounds(
    samples: np.ndarray, top_db: float, keep_seconds: float = 0.05, rate: int = SAMPLE_RATE
) -> tuple[int, int]:
    """First and last sample (exclusive) of a sound without its outer silence.

    Frames more than `top_db` below the loudest frame are silence. `keep_seconds` of it are kept at each end.
    """
    from librosa.effects import trim as librosa_trim

    _, (start, end) = librosa_trim(samples, top_db=top_db, frame_length=1024, hop_length=256)
    margin = int(keep_seconds * rate)
    return max(0, int(start) - margin), min(samples.size, int(end) + margin)


def trim(samples: np.ndarray, top_db: float, keep_seconds: float = 0.05, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Cut outer silence, see `trim_bounds`."""
    start, end = trim_bounds(samples, top_db, keep_seconds, rate)
    return samples[start:end]


def loudness_of(samples: np.ndarray, rate: int) -> float:
    """Integrated loudness in LUFS (EBU R 128, ITU-R BS.1770); minus infinity for silence.

    The measure needs 0.4 s. A shorter sound is repeated until it is long enough.
    """
    import pyloudnorm  # takes a second: it imports scipy

    if not samples.size:
        return -math.inf
    long_enough = np.resize(samples, max(samples.size, math.ceil(_GATE_SECONDS * rate))).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = float(pyloudnorm.Meter(rate).integrated_loudness(long_enough))
    return found if math.isfinite(found) else -math.inf


def level(samples: np.ndarray, loudness: float, peak: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Scale speech to `loudness` LUFS, see `loudness_of`, then lower it if a sample exceeds `peak` (0 to 1).

    Silence stays unchanged.
    """
    measured = loudness_of(samples, rate)
    if math.isfinite(measured):
        samples = samples * 10 ** ((loudness - measured) / 20)
    highest = float(np.abs(samples).max(initial=0.0))
    return (samples * (peak / highest) if highest > peak else samples).astype(np.float32)


def clean(samples: np.ndarray, rate: int, *, trim_db: float, loudness: float, peak: float) -> np.ndarray:
    """Resample to 22,050 Hz, trim and level. Every recording is cleaned by this function."""
    return level(trim(resample(samples, rate), trim_db), loudness, peak)


def read(path: Path, again: str) -> tuple[np.ndarray, int]:
    """Read a sound that a stage wrote: (samples,) float32, and its rate in Hz.

    Args:
        again: how to make it again, for the message.

    Raises:
        UserError: the file is missing, or is not an audio file.
    """
    try:
        if files.is_file(path):
            return soundfile.read(path, dtype="float32")
    except (OSError, RuntimeError):
        pass
    raise UserError(f"{path} is missing or is not an audio file; {again}.")


def write(path: Path, samples: np.ndarray) -> None:
    """Write mono samples losslessly (FLAC, 16 bit, 22,050 Hz).

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    file = io.BytesIO()  # libsndfile does not report a full disk
    soundfile.write(file, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.getvalue())  # getbuffer() can crash CPython 3.12.1 where the write fails (gh-111049)
