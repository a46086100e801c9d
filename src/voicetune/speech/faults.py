"""Finds faults of single takes, each a yes or no: words skipped or repeated, long silences, clipping.

Skips and repeats are found in a recogniser's text, and the recogniser makes errors too. A misread word counts as
neither. If the recogniser itself drops or doubles words, that is a false alarm. These are rare, and the recordings' row
shows them as well.
"""

import numpy as np

from voicetune.recognition.readings import nearest, words

_SKIP = (3, 6)  # words in a row, Chinese characters in a row; half of a text that has fewer than twice as many
_REPEAT = (2, 4)  # words, Chinese characters
_LONGEST_SILENCE = 1.0  # seconds
_SILENCE_DB = 40  # below the loudest frame of 20 ms
_FLAT = 4  # samples in a row
_NEAR = 1e-4


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


def long_silence(samples: np.ndarray, rate: int) -> bool:
    """Whether there is a silence of more than a second between the first sound and the last.

    Args:
        samples: (samples,) float32 at `rate` Hz.
    """
    size = max(1, rate // 50)
    frames = np.asarray(samples, np.float64)[: len(samples) // size * size].reshape(-1, size)
    power = (frames**2).mean(1) if len(frames) else np.zeros(0)
    loud = np.flatnonzero(power > power.max(initial=0) * 10 ** (-_SILENCE_DB / 10))
    return bool(len(loud) > 1 and np.diff(loud).max() - 1 > _LONGEST_SILENCE * rate / size)


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
