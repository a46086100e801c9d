"""How long a voice takes for a text: a time for the beginning and the end, and a time for each letter."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from voicetune.data.clip import Clip
from voicetune.params.reading import Section

KEY = "pace"  # in voicetune.json
_FEWEST = 10  # clips; with fewer, the usual pace is the better guess
_LETTER = {"zh": 0.22, "ko": 0.17, "ja": 0.15}  # seconds, of languages whose letters are syllables; rough
_USUAL = 0.08
_BEGIN = 0.45
_DIGIT = 5


class Pace(Section):
    """A voice's pace: `begin` seconds, and `letter` seconds for each letter."""

    begin: Annotated[float, Field(ge=0, le=10)]
    letter: Annotated[float, Field(gt=0, le=10)]

    def seconds(self, text: str) -> float:
        """How long the voice takes for a text at speed 1."""
        return self.begin + self.letter * _letters(text)


def usual(language: str) -> Pace:
    """The pace to expect of an unknown voice."""
    return Pace(begin=_BEGIN, letter=_LETTER.get(language.split("-")[0], _USUAL))


def fit(clips: Sequence[Clip], language: str) -> Pace:
    """Fit the pace of clips of this language, which have no silence at their ends, by least squares.

    The usual pace comes out if there are fewer than ten clips, or if longer texts do not take longer.
    """
    own = [clip for clip in clips if clip.language == language]
    letters = np.array([_letters(clip.text) for clip in own], np.float64)
    if len(own) < _FEWEST or letters.std() == 0:
        return usual(language)
    letter, begin = (round(float(one), 4) for one in np.polyfit(letters, [clip.seconds for clip in own], 1))
    return Pace(begin=begin, letter=letter) if letter > 0 and begin >= 0 else usual(language)


def _letters(text: str) -> int:
    """The letters of a text. A digit counts as a word of five letters."""
    return sum(_DIGIT if one.isdigit() else one.isalpha() for one in text)
