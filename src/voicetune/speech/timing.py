"""How fast a voice speaks: seconds to the first sound, and the real-time factor."""

import time
from collections.abc import Sequence

import numpy as np

from voicetune.errors import UserError
from voicetune.params.decoding import Decoding
from voicetune.speech.conditioning import Speaker
from voicetune.speech.say import of_part, parts
from voicetune.speech.voice import Line, Voice

_TIMED = 3  # lines


def speed(voice: Voice, lines: Sequence[tuple[Line, Speaker]], settings: Decoding, seed: int) -> dict[str, float]:
    """Medians over the first three lines, each spoken alone: see `timed`. Nothing for a model that says nothing."""
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
    """Speak a line part by part, as somebody who listens meanwhile would want it.

    Returns:
        seconds until the sound of the first part is there, from the text on; and the real-time factor: seconds that all
        parts took, over the seconds that they sound. Below 1 is faster than they are heard.

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
