"""CER and WER estimate intelligibility: the recogniser's character and word errors, relative to the text's length."""

from dataclasses import dataclass

import numpy as np

from voicetune.data.clip import Clip
from voicetune.recognition.readings import characters, nearest, normalise, words
from voicetune.recognition.recogniser import Recogniser


@dataclass(frozen=True)
class Reading:
    """The text that a recogniser read in one sound, and its errors against the expected text."""

    transcript: str
    character_errors: int
    characters: int
    word_errors: int
    words: int


def read(recogniser: Recogniser, clip: Clip, sound: np.ndarray, rate: int) -> Reading:
    """Transcribe one sound and count its errors.

    Args:
        clip: has the text that the sound should say.
        sound: (samples,) float32 at `rate` Hz.
    """
    transcript = recogniser.transcribe(sound, rate)
    return Reading(
        transcript,
        *character_errors(clip.text, transcript, clip.language),
        *word_errors(clip.text, transcript, clip.language),
    )


def character_errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """Character errors (Levenshtein) and the number of the reference's characters.

    The errors are counted between the nearest readings of both texts, see `readings.nearest`. The characters are those
    of the reference's plain reading. So every take of a text has the same number of characters, and takes can be
    compared in pairs. The CER of several texts is the sum of errors over the sum of characters. The errors of one text
    have no upper limit, so babble counts in full. Spaces do not count in Japanese and Chinese.
    """
    import jiwer

    expected, written = (characters(text, language) for text in nearest(reference, hypothesis, language))
    if not expected:
        return len(written), 0
    counted = jiwer.process_characters(expected, written)
    plain = characters(normalise(reference, language), language)
    return counted.substitutions + counted.deletions + counted.insertions, len(plain)


def word_errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """Word errors and the number of the reference's words, see `character_errors`; a Chinese character is a word."""
    import jiwer

    expected, written = (words(text, language) for text in nearest(reference, hypothesis, language))
    if not expected:
        return len(written), 0
    counted = jiwer.process_words(" ".join(expected), " ".join(written))
    plain = words(normalise(reference, language), language)
    return counted.substitutions + counted.deletions + counted.insertions, len(plain)
