"""Compares a spoken sentence with its recording: pitch, voicing, spectrum and duration after dynamic time warping."""

from dataclasses import dataclass

import numpy as np
import soxr

_RATE, _HOP, _FRAME = 16000, 256, 1024  # Hz, samples, samples: a frame every 16 ms
_LOWEST, _HIGHEST = 60.0, 500.0  # Hz, range of the pitch of a speaking voice
_BANDS, _COEFFICIENTS = 40, 13
_TRIM_DB = 45
_VOICED = 0.1  # share of frames; a pitch that is found in fewer frames is an accident
_SHORTEST = 4 * _FRAME  # samples; a shorter sound cannot be aligned


@dataclass(frozen=True)
class Prosody:
    """The figures of `compare`; None for a figure that cannot be measured.

    f0_rmse_cents is None unless more than a tenth of the aligned frames are voiced in both sounds. All are None if
    either sound is silent or has less than 0.256 s of speech.
    """

    f0_rmse_cents: float | None = None
    voicing_error: float | None = None
    mcd_db: float | None = None
    duration_ratio: float | None = None


def compare(recording: np.ndarray, recording_rate: int, sound: np.ndarray, rate: int) -> Prosody:
    """Compare a sound with the recording of the same sentence; levels and outer silence do not matter.

    Args:
        recording, sound: (samples,) float32, at `recording_rate` and `rate` Hz.

    Returns:
        f0_rmse_cents: RMSE of the pitch (librosa's pYIN; Mauch & Dixon 2014) over aligned frames voiced in both sounds.
        voicing_error: share of aligned frames that are voiced in only one of the two.
        mcd_db: mel-cepstral distortion (Kubichek 1993) of coefficients 1 to 13, averaged along the alignment path. The
            cepstra come from a 40-band mel spectrum, so the figure is not comparable with figures from other tools.
        duration_ratio: the sound's duration over the recording's.
    """
    import librosa  # takes seconds to import

    a, b = _speech(recording, recording_rate), _speech(sound, rate)
    if min(len(a), len(b)) < _SHORTEST:
        return Prosody()
    cepstra_a, cepstra_b = _cepstra(a), _cepstra(b)
    _, path = librosa.sequence.dtw(cepstra_a, cepstra_b, metric="euclidean")
    i, j = path[::-1].T
    distances = np.sqrt(((cepstra_a[:, i] - cepstra_b[:, j]) ** 2).sum(0) / _BANDS)
    pitch_a, pitch_b = _pitch(a)[i], _pitch(b)[j]
    voiced_a, voiced_b = np.isfinite(pitch_a), np.isfinite(pitch_b)
    both = voiced_a & voiced_b
    cents = 1200 * np.log2(pitch_b[both] / pitch_a[both])
    return Prosody(
        f0_rmse_cents=float(np.sqrt((cents**2).mean())) if both.mean() > _VOICED else None,
        voicing_error=float((voiced_a != voiced_b).mean()),
        mcd_db=float(distances.mean()),
        duration_ratio=len(b) / len(a),
    )


def _speech(samples: np.ndarray, rate: int) -> np.ndarray:
    """The sound without outer silence, at 16 kHz and full scale; empty for silence."""
    import librosa

    samples = np.nan_to_num(np.asarray(samples, np.float32))
    if not len(samples) or np.abs(samples).max() == 0:
        return np.zeros(0, np.float32)
    sound = soxr.resample(samples / np.abs(samples).max(), rate, _RATE)
    return librosa.effects.trim(sound, top_db=_TRIM_DB, frame_length=_FRAME, hop_length=_HOP)[0]


def _cepstra(sound: np.ndarray) -> np.ndarray:
    """Cepstra (13, frames) without c0, the level. Distances divided by the square root of the bands are in dB."""
    import librosa

    power = librosa.feature.melspectrogram(y=sound, sr=_RATE, n_fft=_FRAME, hop_length=_HOP, n_mels=_BANDS)
    level = librosa.power_to_db(power, ref=np.max, top_db=60)
    return librosa.feature.mfcc(S=level, n_mfcc=_COEFFICIENTS + 1)[1:]


def _pitch(sound: np.ndarray) -> np.ndarray:
    """Pitch of each frame in Hz, (frames,); NaN in unvoiced frames."""
    import librosa

    pitch, _, _ = librosa.pyin(
        sound, fmin=_LOWEST, fmax=_HIGHEST, sr=_RATE, frame_length=2 * _FRAME, hop_length=_HOP, resolution=0.2
    )
    return pitch
