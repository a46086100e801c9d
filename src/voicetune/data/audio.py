"""Recordings in, clean mono samples out: decoding, resampling, trimming, levels, lossless writing.

Everything downstream works at 22,050 Hz, the rate XTTS listens at. Imports no torch.
"""

import math
from pathlib import Path

import numpy as np
import soundfile
import soxr

from voicetune.errors import UserError

SAMPLE_RATE = 22050
_GATE_SECONDS = 0.4  # the block of ITU-R BS.1770


def read(path: Path) -> tuple[np.ndarray, int]:
    """Decode a sound file with soundfile, or with PyAV (FFmpeg inside its wheel) what that cannot read.

    Returns:
        mono float32 samples, shape (samples,), channels averaged; and the sample rate in Hz.

    Raises:
        UserError: the file is missing, empty or no sound that either library decodes.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; correct its row in the metadata or add the recording.")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = samples.mean(axis=1)
    except (soundfile.LibsndfileError, RuntimeError):
        mono, rate = _read_with_av(path)
    if mono.size == 0:
        raise UserError(f"{path} holds no samples; record it again or remove its row.")
    if not np.isfinite(mono).all():
        raise UserError(f"{path} holds samples that are not numbers; export it again as 16-bit WAV.")
    return mono, rate


def _read_with_av(path: Path) -> tuple[np.ndarray, int]:
    import av  # only for what soundfile cannot decode (m4a, webm and the like)

    try:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            rate = int(stream.rate)
            resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
            frames = [out for frame in container.decode(stream) for out in resampler.resample(frame)]
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise UserError(f"{path} cannot be decoded ({error}); convert it to WAV or FLAC.") from None
    pieces = [frame.to_ndarray().reshape(-1) for frame in frames]
    return (np.concatenate(pieces) if pieces else np.zeros(0, np.float32)), rate


def resample(samples: np.ndarray, rate: int, to: int = SAMPLE_RATE) -> np.ndarray:
    """Resample with soxr at its highest quality. Shapes (samples,) in and out."""
    return samples if rate == to else soxr.resample(samples, rate, to, quality="VHQ")


def trim_bounds(
    samples: np.ndarray, top_db: float, keep_seconds: float = 0.05, rate: int = SAMPLE_RATE
) -> tuple[int, int]:
    """First and last sample (exclusive) of what is not outer silence: not more than `top_db` below the
    loudest frame, and a small margin."""
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

    The measure needs 0.4 s: a shorter sound is measured as often as it takes, one after the other.
    """
    import pyloudnorm  # imports scipy: a second

    if not samples.size:
        return -math.inf
    long_enough = np.resize(samples, max(samples.size, math.ceil(_GATE_SECONDS * rate))).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = float(pyloudnorm.Meter(rate).integrated_loudness(long_enough))
    return found if math.isfinite(found) else -math.inf


def level(samples: np.ndarray, loudness: float, peak: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Bring speech to `loudness` LUFS, see `loudness_of`, then lower it if a sample passes `peak` (0 to 1).

    Silence stays.
    """
    measured = loudness_of(samples, rate)
    if math.isfinite(measured):
        samples = samples * 10 ** ((loudness - measured) / 20)
    highest = float(np.abs(samples).max(initial=0.0))
    return (samples * (peak / highest) if highest > peak else samples).astype(np.float32)


def clean(samples: np.ndarray, rate: int, *, trim_db: float, loudness: float, peak: float) -> np.ndarray:
    """Resample to 22,050 Hz, trim and level. The one path that every recording goes through."""
    return level(trim(resample(samples, rate), trim_db), loudness, peak)


def write(path: Path, samples: np.ndarray) -> None:
    """Write mono samples losslessly (FLAC, 16 bit, 22,050 Hz)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
