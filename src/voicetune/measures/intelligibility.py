"""CER and WER: the share of characters and words that a recogniser reads wrongly, an estimate of intelligibility."""

import re
import unicodedata
from dataclasses import dataclass

import numpy as np

from voicetune.data.clip import Clip
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


def normalise(text: str, language: str) -> str:
    """The form in which two texts are compared.

    Lower case, numbers, abbreviations and symbols as words
    (TTS.tts.layers.xtts.tokenizer.multilingual_cleaners, what the model is given too), apostrophes gone,
    other punctuation and hyphens as spaces, single spaces. Letters keep their accents.
    """
    # A last full stop is no part of a number: Hungarian and German would read "5." as an ordinal.
    words = _spelt_out(unicodedata.normalize("NFKC", text).strip().rstrip(".!?…"), language).lower()
    words = re.sub(r"['’ʼ`]", "", words)
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in unicodedata.normalize("NFC", words))
    return " ".join("".join(kept).split())


def _spelt_out(text: str, language: str) -> str:
    from TTS.tts.layers.xtts.tokenizer import multilingual_cleaners  # imports torch

    try:
        return multilingual_cleaners(text, language)
    except (LookupError, ArithmeticError, ValueError, NotImplementedError):
        return text  # Japanese, or a number that num2words cannot spell there: digits on both sides


def character_errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """Character errors (Levenshtein) and characters of the reference, both texts normalised.

    The CER of several texts is the sum of errors over the sum of characters; one text's errors have no
    upper limit, so babble counts in full.
    """
    import jiwer

    expected, heard = normalise(reference, language), normalise(hypothesis, language)
    if not expected:
        return len(heard), 0
    counted = jiwer.process_characters(expected, heard)
    return counted.substitutions + counted.deletions + counted.insertions, len(expected)


def word_errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """Word errors and words of the reference, as `character_errors`."""
    import jiwer

    expected, heard = normalise(reference, language), normalise(hypothesis, language)
    if not expected:
        return len(heard.split()), 0
    counted = jiwer.process_words(expected, heard)
    return counted.substitutions + counted.deletions + counted.insertions, len(expected.split())
