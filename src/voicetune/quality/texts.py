"""What the transcripts say about their clips: pace, letters of another script, and what a recogniser hears instead."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from voicetune.data.clip import Clip

_BEGIN = 0.3  # seconds that an utterance takes besides its characters: breath and the last syllable's lengthening
_SHORTEST = 10  # letters and digits; the pace of a shorter text says nothing ("w" is a long word)


def pace(clips: Sequence[Clip], speech: Sequence[float]) -> list[tuple[float, str] | None]:
    """How many times slower or faster each clip is than the speaker's median, and which of both; 1 is the median.

    None for a clip without speech, and for a text of fewer than 10 letters and digits.

    The pace is the time of speech over the characters. Each utterance is given 0.3 s more than its characters, because
    short utterances are slower.

    Args:
        speech: seconds of speech of each clip.
    """
    rates = [_seconds_each(*both) for both in zip(clips, speech, strict=True)]
    own: dict[tuple[str, str], list[float]] = {}
    for clip, rate in zip(clips, rates, strict=True):
        if rate:
            own.setdefault((clip.speaker, clip.language), []).append(rate)
    medians = {key: float(np.median(found)) for key, found in own.items()}
    return [
        _factor(rate, medians[clip.speaker, clip.language]) if rate else None
        for clip, rate in zip(clips, rates, strict=True)
    ]


def _seconds_each(clip: Clip, speech: float) -> float | None:
    """Seconds of a letter or digit; None if that says nothing."""
    spoken = sum(one.isalnum() for one in clip.text)
    return max(speech - _BEGIN, speech / 10) / spoken if speech and spoken >= _SHORTEST else None


def _factor(rate: float, median: float) -> tuple[float, str]:
    return max(rate / median, median / rate), "slower" if rate > median else "faster"


def foreign_letters(clips: Sequence[Clip]) -> list[int]:
    """How many letters of each text are of another script than most of the speaker's texts in that language."""
    scripts = [Counter(script for one in clip.text if (script := _script(one))) for clip in clips]
    total: dict[tuple[str, str], Counter[str]] = {}
    for clip, own in zip(clips, scripts, strict=True):
        total.setdefault((clip.speaker, clip.language), Counter()).update(own)
    most = {key: counts.most_common(1)[0][0] if counts else "" for key, counts in total.items()}
    return [
        sum(count for script, count in own.items() if script != most[clip.speaker, clip.language])
        for clip, own in zip(clips, scripts, strict=True)
    ]


_JAPANESE = ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "CJK", "IDEOGRAPHIC")
_OF_NO_SCRIPT = ("FEMININE", "MASCULINE", "MICRO", "MODIFIER")


def _script(letter: str) -> str:
    """A letter's script by its Unicode name; Japanese is written in several, which count as one. Empty: no letter."""
    if not letter.isalpha():
        return ""
    if _first_word(letter) in _OF_NO_SCRIPT:
        return ""
    name = _first_word(unicodedata.normalize("NFKC", letter)[0])
    return "CJK" if name in _JAPANESE else name


def _first_word(letter: str) -> str:
    """The first word of a character's Unicode name, such as LATIN."""
    return unicodedata.name(letter, "").split(" ")[0]
