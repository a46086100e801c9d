"""Checks the sound of one part of a line, before anybody hears it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from voicetune.recognition import recogniser
from voicetune.recognition.intelligibility import character_errors
from voicetune.recognition.recogniser import Recogniser
from voicetune.speech import faults
from voicetune.speech.voice import Line, Voice

UNCLEAR = 0.5
"""The CER above which a part is not understood."""
SAYS_NOTHING, NEVER_STOPS, RUNS_ON = "says nothing", "never stops", "runs on"
ENDS_EARLY, REPEATS_A_SOUND = "ends early", "repeats a sound"
OF_LENGTH = (SAYS_NOTHING, NEVER_STOPS, RUNS_ON, ENDS_EARLY, REPEATS_A_SOUND)
"""The faults that make a part too long or too short."""


@dataclass(frozen=True)
class Checks:
    """How speech is checked.

    tries: the most draws of a part; 1: a part with faults is not drawn again. asr: the recogniser that reads each part,
    see `Recogniser`; None: the words are not checked. key: the setting that `asr` comes from, for messages.
    """

    tries: int = 4
    asr: str | None = None
    key: str = "asr"


@dataclass(frozen=True)
class Checked:
    """A sound, (samples,) float32, and what is wrong with it.

    score: the lower, the better. 1 for each fault; plus the absolute natural logarithm of its length over the expected
    one; plus the CER, if a recogniser was asked. end: where a sound that runs on should have ended, in seconds.
    """

    sound: np.ndarray
    faults: tuple[str, ...]
    score: float
    end: float | None


class Checker:
    """Checks what one voice says.

    Args:
        languages: of the lines.

    Raises:
        UserError: the recogniser cannot be found, or does not know a language.
    """

    def __init__(self, voice: Voice, checks: Checks, languages: Iterable[str]):
        self.voice = voice
        known = sorted(set(languages)) if checks.asr else []
        for language in known:
            recogniser.refuse_english_only(str(checks.asr), language, checks.key)
        device = "auto" if voice.device.type == "cuda" else "cpu"  # the GPU may be one that the recogniser cannot use
        self._readers = {one: Recogniser(str(checks.asr), one, device, checks.key) for one in known}

    def check(self, codes: Tensor, sound: np.ndarray, line: Line) -> Checked:
        """Check the sound of a part, (samples,), and the audio codes it was made of, (codes,)."""
        rate = self.voice.rate
        expected = self.voice.pace(line.language).seconds(line.text) / line.speed
        loud = faults.find_loud(sound, rate)
        start, end = faults.bounds(loud)
        found = {
            SAYS_NOTHING: faults.nearly_silent(sound, loud),
            NEVER_STOPS: len(codes) > 0 and not self.voice.model.stopped(codes),
            RUNS_ON: faults.too_long(end - start, expected),
            ENDS_EARLY: faults.too_short(end - start, expected),
            REPEATS_A_SOUND: faults.loops(codes.tolist()),
            "has a long silence": faults.long_silence(loud),
            "is clipped": faults.clipped(sound),
        }
        cer = 0.0
        if reader := self._readers.get(line.language):
            heard = reader.transcribe(sound, rate)
            errors, characters = character_errors(line.text, heard, line.language)
            cer = errors / max(1, characters)
            found["skips words"] = faults.skipped(line.text, heard, line.language)
            found["says words twice"] = faults.repeated(line.text, heard, line.language)
            found["is not understood"] = cer > UNCLEAR
        names = tuple(name for name, is_so in found.items() if is_so)
        score = len(names) + abs(math.log(max(end - start, 0.01) / expected)) + cer
        return Checked(sound, names, score, faults.end_before(loud, expected) if RUNS_ON in names else None)
