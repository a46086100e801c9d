"""Figures of a recording as it was found, before it is cleaned: the table data/as_recorded.csv.

Cleaning hides some faults. A clipped recording is scaled down, and a word cut at the edge of a file looks like any word
after trimming. So stage prepare measures them here, and stage quality judges them. This module imports no torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from voicetune import files
from voicetune.data import csv_tables
from voicetune.data.clip import Clip
from voicetune.errors import UserError
from voicetune.shapes import Plain

Finite = Annotated[float, Field(allow_inf_nan=False)]
TABLE = Path("data/as_recorded.csv")
"""It is not in data/clips: a new figure in it should train nothing again."""

_FRAME = 0.02  # seconds
_FLOOR = 1e-10  # power of -100 dB of full scale; digital silence counts as this
_NEAR_PEAK = 0.99  # of the loudest sample
_SPECTRUM = 2048  # samples of a frame whose spectrum is taken
_BAND_DB = 65.0  # a frequency this far below the strongest one holds no speech
_LOUD_DB = 30.0  # a frame this far below the loud ones is not speech


@dataclass(frozen=True)
class AsRecorded:
    """One recording, a row of the table.

    id: the clip's. rate: samples a second. clipped: share of the samples within 1 % of the loudest one. level: of the
    loud parts, in dB of full scale. dc: the mean over the loudest sample. snr: the loud parts (95th percentile of 20 ms
    frames) over the quiet ones (5th percentile), in dB. bandwidth: the highest frequency in Hz that is less than 65 dB
    below the strongest. start, end: the level of the first and the last 20 ms, in dB over the loud parts. pause: the
    longest time in seconds between loud parts.
    """

    id: Plain
    rate: int
    clipped: Finite
    level: Finite
    dc: Finite
    snr: Finite
    bandwidth: Finite
    start: Finite
    end: Finite
    pause: Finite


def write(rows: list[AsRecorded]) -> None:
    """Write the table, one row a clip.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    files.check_own(TABLE.parent)
    with files.writing(TABLE):
        TABLE.unlink(missing_ok=True)  # a link would lead to somebody's file
    csv_tables.write(TABLE, AsRecorded, rows)


def read(clips: list[Clip]) -> list[AsRecorded]:
    """Read the rows of clips, in their order.

    Raises:
        UserError: the table is missing or damaged, or lacks a clip.
    """
    again = "run `dvc repro -s -f prepare`"
    rows = {one.id: one for one in csv_tables.read(TABLE, AsRecorded, again)}
    if missing := [clip.id for clip in clips if clip.id not in rows]:
        raise UserError(f"{TABLE} lacks the clip '{missing[0]}'; {again}.")
    return [rows[clip.id] for clip in clips]


def measure(id: str, samples: np.ndarray, rate: int) -> AsRecorded:
    """Measure a recording.

    Args:
        samples: mono float32, shape (samples,), not silent.
        rate: in Hz.
    """
    peak = float(np.abs(samples).max())
    frames = _power(samples, rate)
    loud, quiet = (float(np.percentile(frames, q)) for q in (95, 5))
    return AsRecorded(
        id,
        rate,
        clipped=round(float((np.abs(samples) >= _NEAR_PEAK * peak).mean()), 5),
        level=round(loud, 1),
        dc=round(abs(float(samples.mean(dtype=np.float64))) / peak, 4),
        snr=round(loud - quiet, 1),
        bandwidth=round(_bandwidth(samples, rate), -2),
        start=round(frames[0] - loud, 1),
        end=round(frames[-1] - loud, 1),
        pause=round(_longest_pause(frames, loud), 2),
    )


def _power(samples: np.ndarray, rate: int) -> np.ndarray:
    """The power of each 20 ms without its mean, in dB of full scale: (frames,)."""
    size = max(1, round(_FRAME * rate))
    count = max(1, samples.size // size)
    frames = np.resize(samples, count * size).reshape(count, size).astype(np.float64)
    return 10 * np.log10(frames.var(axis=1) + _FLOOR)


def _bandwidth(samples: np.ndarray, rate: int) -> float:
    """The highest frequency of speech. For each frequency, the strongest twentieth of the frames counts."""
    padded = np.pad(samples, (0, max(0, _SPECTRUM - samples.size)))
    frames = padded[: padded.size // _SPECTRUM * _SPECTRUM].reshape(-1, _SPECTRUM)
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(_SPECTRUM).astype(np.float32))))
    strongest = 10 * np.log10(np.percentile(power, 95, axis=0) + _FLOOR)
    heard = np.flatnonzero(strongest > strongest.max() - _BAND_DB)
    return float(heard[-1]) * rate / _SPECTRUM


def _longest_pause(frames: np.ndarray, loud: float) -> float:
    """The longest time in seconds between two loud frames."""
    spoken = np.flatnonzero(frames > loud - _LOUD_DB)
    return float(np.diff(spoken).max(initial=1) - 1) * _FRAME
