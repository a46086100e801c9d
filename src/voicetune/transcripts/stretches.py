"""Finds the stretches of speech in a sound. Between two of them there is a pause, where a clip may end.

A pause is where the voice activity detector finds no speech for 0.4 s, or where it is quiet for 0.2 s. Quiet is
relative to the loudest and the quietest sound around, so that the speaker may turn away, and the room may hum. The
detector is silero's (https://github.com/snakers4/silero-vad, in faster-whisper).
"""

import numpy as np

RATE = 16000  # Hz, of silero and of Whisper
PAUSE = 0.2  # seconds; the closure of a p, t or k takes 0.1
_STEP = RATE // 100  # samples of a frame
_PADDING = 0.1  # seconds around what silero calls speech, because it cuts soft consonants off
_NEAR, _FAR = 3, 10  # seconds to each side in which the loudest and the quietest sound are looked for
# dB: quiet is 30 below the loudest, or 6 above the quietest; never less than 12 below
_BELOW, _ABOVE, _LEAST = 30, 6, 12


def find(samples: np.ndarray) -> list[tuple[float, float]]:
    """The stretches of speech in a sound, in seconds.

    Args:
        samples: (samples,) float32 at 16 kHz.
    """
    from faster_whisper.vad import VadOptions, get_speech_timestamps  # a second of imports

    options = VadOptions(min_silence_duration_ms=100, speech_pad_ms=0, min_speech_duration_ms=60)
    spoken = get_speech_timestamps(np.ascontiguousarray(samples), options)
    levels = _levels(samples)
    speech = np.zeros(len(levels), bool)
    padding = round(_PADDING * RATE)
    for one in spoken:
        speech[max(0, one["start"] - padding) // _STEP : -(-(one["end"] + padding) // _STEP)] = True
    shortest = round(PAUSE * RATE / _STEP)
    speech &= ~_runs_of(_quiet(levels), shortest)
    found = [(begin, end) for begin, end in _bounds(~_runs_of(~speech, shortest))]
    return [(begin * _STEP / RATE, min(end * _STEP, len(samples)) / RATE) for begin, end in found]


def quietest(samples: np.ndarray, begin: float, end: float) -> float:
    """The quietest moment of a sound between two times in seconds: the middle of its quietest 50 ms."""
    levels = _levels(samples[round(begin * RATE) : round(end * RATE)])
    if len(levels) < 5:
        return (begin + end) / 2
    around = np.convolve(levels, np.ones(5), "valid")
    # digital silence is quietest in many places: take their middle
    least = np.flatnonzero(around <= around.min() + 1.0)
    return begin + (float(least[len(least) // 2]) + 2.5) * _STEP / RATE


def _levels(samples: np.ndarray) -> np.ndarray:
    """The level of each frame of 10 ms, in dB of full scale, with the samples of its neighbours."""
    if len(samples) < _STEP:
        return np.zeros(0)
    frames = samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    return 10 * np.log10(np.convolve(power, np.ones(3) / 3, "same") + 1e-9)


def _quiet(levels: np.ndarray) -> np.ndarray:
    """Which frames are quiet beside what is around them."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    if not len(levels):
        return np.zeros(0, bool)
    seconds = -(-len(levels) // 100)
    blocks = np.pad(levels, (0, seconds * 100 - len(levels)), "edge").reshape(seconds, 100)
    loudest = maximum_filter1d(np.quantile(blocks, 0.95, axis=1), 2 * _NEAR + 1)
    lowest = minimum_filter1d(np.quantile(blocks, 0.1, axis=1), 2 * _FAR + 1)
    limits = np.minimum(np.maximum(loudest - _BELOW, lowest + _ABOVE), loudest - _LEAST)
    return levels < np.repeat(limits, 100)[: len(levels)]


def _runs_of(frames: np.ndarray, shortest: int) -> np.ndarray:
    """Those of the true frames that stand in a run of at least `shortest`."""
    long = np.zeros(len(frames), bool)
    for begin, end in _bounds(frames):
        long[begin:end] = end - begin >= shortest
    return long


def _bounds(frames: np.ndarray) -> list[tuple[int, int]]:
    """First and last (exclusive) frame of each run of true frames."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], frames, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in changes.reshape(-1, 2)]
