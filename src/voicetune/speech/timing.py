"""Measure how fast a voice speaks: seconds to the first sound, and the real-time factor."""

import time
from collections.abc import Sequence

import numpy as np

from voicetune.errors import UserError
from voicetune.model import Speaker
from voicetune.params.decoding import Decoding
from voicetune.speech.say import of_part, parts
from voicetune.speech.voice import Line, Voice

_TIMED = 3  # lines that are measured


def speed(voice: Voice, lines: Sequence[tuple[Line, Speaker]], settings: Decoding, seed: int) -> dict[str, float]:
    """Take medians of `timed` over the first three lines, each spoken alone. Empty if the model says none of them."""
    found = []
    for line, speaker in lines[:_TIMED]:
        try:
            found.append(timed(voice, line, speaker, settings, seed))
        except UserError:
            continue
    if not found:
        return {}
    first, factor = np.median(found, axis=0)
    return {"first_audio_seconds": round(float(first), 3), "real_time_factor": round(float(factor), 3)}


def timed(voice: Voice, line: Line, speaker: Speaker, settings: Decoding, seed: int) -> tuple[float, float]:
    """Speak a line part by part, as if each were played while the next one is made.

    Returns:
        the seconds from the text to the sound of the first part; and the real-time factor, the seconds that all parts
        took to make over the seconds that they last. Below 1, parts are made faster than they are played.

    Raises:
        UserError: see `parts`; or the model says nothing.
    """
    begun = time.perf_counter()
    first, samples = 0.0, 0
    for part in parts(voice, line):
        one = of_part(part, line)
        samples += len(voice.sound(voice.codes([one], [speaker], settings, seed)[0], one, speaker))
        first = first or time.perf_counter() - begun
    took = time.perf_counter() - begun
    if not samples:
        raise UserError("the model said nothing for this line; try another seed or temperature.")
    return first, took * voice.rate / samples
