"""Finds faults of spoken sentences, each a yes or no.

Skips and repeats are found in a recogniser's text, and the recogniser makes errors too. A misread word counts as
neither. If the recogniser itself drops or doubles words, that is a false alarm. These are rare, and the recordings' row
of the report shows them as well.

Run-ons, cut ends and loops are found by length: how long the sound is, beside how long the voice takes for the text.
"""

from collections.abc import Sequence

import numpy as np

from voicetune.recognition.readings import nearest, words

_SKIP = (3, 6)  # words in a row, Chinese characters in a row; half of a text that has fewer than twice as many
_REPEAT = (2, 4)  # words, Chinese characters
_LONGEST_SILENCE = 1.0  # seconds
_FRAME = 0.02  # seconds
_SILENCE_DB = 40  # below the loudest frame of 20 ms
_FLAT = 4  # samples in a row
_NEAR = 1e-4
_LONGEST = (1.7, 0.5)  # times the expected seconds, plus seconds
_SHORTEST = 0.4  # times the expected seconds
_PAUSE = 0.35  # seconds; where no mark is written, a longer one may be the end
_EARLIEST, _LATEST = 0.5, 1.5  # times the expected seconds: where the end may be
_LOOP, _PERIOD = 24, 8  # codes that repeat those at most so many places before
_QUIET = 10 ** (-50 / 20)  # of full scale
_BRIEF = 0.12  # seconds of sound


def skipped(text: str, transcript: str, language: str) -> bool:
    """Whether three words in a row are missing, or half of a text that has fewer than six words.

    In Chinese: six characters in a row, or half of a text that has fewer than twelve.
    """
    expected, found = _words(text, transcript, language)
    enough = min(_SKIP[language == "zh"], max(1, (len(expected) + 1) // 2))
    return any(kind == "delete" and end - start >= enough for kind, start, end, _, _ in _alignment(expected, found))


def repeated(text: str, transcript: str, language: str) -> bool:
    """Whether two or more words in a row are said twice in a row, though the text has them once.

    In Chinese: four or more characters.
    """
    expected, found = _words(text, transcript, language)
    for kind, _, _, start, end in _alignment(expected, found):
        size, inserted = end - start, found[start:end]
        again = inserted in (found[max(0, start - size) : start], found[end : end + size])
        if kind == "insert" and size >= _REPEAT[language == "zh"] and again:
            return True
    return False


def find_loud(samples: np.ndarray, rate: int) -> np.ndarray:
    """Find the frames of 20 ms that are not silent: less than 40 dB below the loudest frame.

    Args:
        samples: (samples,) float32 at `rate` Hz.

    Returns:
        their numbers, from 0, in order. The functions below that take `loud` expect these.
    """
    size = max(1, rate // 50)
    frames = np.asarray(samples, np.float64)[: len(samples) // size * size].reshape(-1, size)
    power = (frames**2).mean(1) if len(frames) else np.zeros(0)
    return np.flatnonzero(power > power.max(initial=0) * 10 ** (-_SILENCE_DB / 10))


def long_silence(loud: np.ndarray) -> bool:
    """Whether there is a silence of more than a second between the first sound and the last."""
    return any(round(end - start, 2) > _LONGEST_SILENCE for start, end in pauses(loud))


def bounds(loud: np.ndarray) -> tuple[float, float]:
    """The seconds at which the sound begins and ends, without the silence around it. Both are 0 if there is none."""
    return (loud[0] * _FRAME, (loud[-1] + 1) * _FRAME) if len(loud) else (0.0, 0.0)


def pauses(loud: np.ndarray) -> list[tuple[float, float]]:
    """The beginning and end in seconds of each silence between the first sound and the last."""
    return [((loud[i] + 1) * _FRAME, loud[i + 1] * _FRAME) for i in np.flatnonzero(np.diff(loud) > 1)]


def nearly_silent(samples: np.ndarray, loud: np.ndarray) -> bool:
    """Whether there is less than 0.12 s of sound, or none above -50 dB of full scale."""
    start, end = bounds(loud)
    return end - start < _BRIEF or float(np.abs(samples).max(initial=0.0)) < _QUIET


def too_long(seconds: float, expected: float) -> bool:
    """Whether a sound is much longer than its text: more than 1.7 times, and half a second."""
    return seconds > _LONGEST[0] * expected + _LONGEST[1]


def too_short(seconds: float, expected: float) -> bool:
    """Whether a sound is much shorter than its text: less than 0.4 of the time."""
    return seconds < _SHORTEST * expected


def end_before(loud: np.ndarray, expected: float) -> float | None:
    """Where a sound that is too long should have ended, in seconds: at the pause that is nearest to the expected end.

    None if there is no pause of 0.35 s between 0.5 and 1.5 times the expected seconds.
    """
    start = bounds(loud)[0]
    ends = [a for a, b in pauses(loud) if b - a >= _PAUSE and _EARLIEST <= (a - start) / expected <= _LATEST]
    return min(ends, key=lambda end: abs(end - start - expected), default=None)


def loops(codes: Sequence[int]) -> bool:
    """Whether 24 audio codes in a row, about a second, repeat the codes up to eight places before them."""
    found = np.asarray(codes)
    for period in range(1, _PERIOD + 1):
        same = found[period:] == found[:-period]
        run = np.diff(np.flatnonzero(np.concatenate([[True], ~same, [True]])))
        if len(same) and run.max() - 1 >= _LOOP:
            return True
    return False


def clipped(samples: np.ndarray) -> bool:
    """Whether a peak is cut flat: four samples in a row lie within 0.01 % of the largest value of their sign."""
    samples = np.asarray(samples, np.float64)
    if len(samples) < _FLAT or np.abs(samples).max() == 0:
        return False
    at_top = samples >= samples.max() * (1 - _NEAR)
    at_bottom = samples <= samples.min() * (1 - _NEAR)
    return any(
        np.convolve(side, np.ones(_FLAT), "valid").max() >= _FLAT
        for side, peak in ((at_top, samples.max()), (at_bottom, -samples.min()))
        if peak > 0
    )


def _words(text: str, transcript: str, language: str) -> tuple[list[str], list[str]]:
    expected, found = nearest(text, transcript, language)
    return words(expected, language), words(found, language)


def _alignment(expected: list[str], found: list[str]) -> list[tuple[str, int, int, int, int]]:
    """Aligned runs of words: kind, start and end in the text, start and end in the recogniser's text."""
    import jiwer

    if not expected or not found:
        return [("delete", 0, len(expected), 0, 0)] if expected else []
    chunks = jiwer.process_words(" ".join(expected), " ".join(found)).alignments[0]
    return [(c.type, c.ref_start_idx, c.ref_end_idx, c.hyp_start_idx, c.hyp_end_idx) for c in chunks]
