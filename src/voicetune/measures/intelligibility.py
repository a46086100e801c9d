"""CER and WER: the share of characters and words that a recogniser reads wrongly, an estimate of intelligibility."""

from dataclasses import dataclass

import numpy as np

from voicetune.data.clip import Clip
from voicetune.measures.readings import characters, nearest, normalise, words
from voicetune.measures.recogniser import Recogniser


@dataclass(frozen=True)
class Reading:
    """What a recogniser read off one sound, and how far that is from the text."""

    heard: str
    character_errors: int
    characters: int
    word_errors: int
    words: int


def read(recogniser: Recogniser, clip: Clip, sound: np.ndarray, rate: int) -> Reading:
    """Read one sound.

    Args:
        clip: what it should say.
        sound: (samples,) float32 at `rate` Hz.
    """
    heard = recogniser.transcribe(sound, rate)
    return Reading(
        heard, *character_errors(clip.text, heard, clip.language), *word_errors(clip.text, heard, clip.language)
    )


def character_errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """Character errors (Levenshtein) by the nearest readings of both, and the reference's characters, plainly read.

    The CER of several texts is the sum of errors over the sum of characters; one text's errors have no
    upper limit, so babble counts in full. Spaces do not count where a language has none. Every take of a text has
    the same number of characters, whichever reading was the nearest, so that takes can be compared in pairs.
    """
    import jiwer

    expected, heard = (characters(text, language) for text in nearest(reference, hypothesis, language))
    if not expected:
        return len(heard), 0
    counted = jiwer.process_characters(expected, heard)
    plain = characters(normalise(reference, language), language)
    return counted.substitutions + counted.deletions + counted.insertions, len(plain)


def word_errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """Word errors and words of the reference, as `character_errors`; in Chinese a word is a character."""
    import jiwer

    expected, heard = (words(text, language) for text in nearest(reference, hypothesis, language))
    if not expected:
        return len(heard), 0
    counted = jiwer.process_words(" ".join(expected), " ".join(heard))
    plain = words(normalise(reference, language), language)
    return counted.substitutions + counted.deletions + counted.insertions, len(plain)
