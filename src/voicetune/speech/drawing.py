"""Draws the sound of parts of lines, checks each draw, and draws again what has a fault.

A first draw without a fault is taken. All parts with faults are drawn again together, several times each and in one
batch, because a batch costs little more than one draw. Of all draws of a part, the one with the lowest score is taken
(see `Checked`). If that one runs on, it is cut at the pause where it should have ended.

The draws of a part depend on the part, its speaker, the settings and the seed, and not on other parts. So the same seed
gives the same sound.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from voicetune.model import Speaker
from voicetune.params.decoding import Decoding
from voicetune.speech.checking import RUNS_ON, Checked, Checker
from voicetune.speech.voice import Line, Voice

_APART = 1_000_003  # between the seeds of two draws of a part, so that a neighbouring seed of `say` is no redraw
_FADE = 0.02  # seconds in which a sound that is cut becomes silent


@dataclass(frozen=True)
class Drawn:
    """The draw that was taken.

    sound: (samples,) float32. found: the faults of the first draw. left: the faults of this sound. draws: how many were
    made. cut: whether the end was cut off.
    """

    sound: np.ndarray
    found: tuple[str, ...]
    left: tuple[str, ...]
    draws: int
    cut: bool


def draw(
    voice: Voice,
    parts: Sequence[Line],
    speakers: Sequence[Speaker],
    settings: Decoding,
    seed: int | Sequence[int],
    checker: Checker,
    tries: int,
) -> list[Drawn]:
    """Draw each part until it has no fault, at most `tries` times.

    Args:
        speakers: one for each part.
        seed: one for all parts, or one for each part.

    Raises:
        UserError: see `Voice.codes`.
    """
    seeds = [seed] * len(parts) if isinstance(seed, int) else seed
    first = _draw_once(voice, parts, speakers, settings, seeds, checker)
    faulty = [i for i, one in enumerate(first) if one.faults]
    again = [(i, seeds[i] + number * _APART) for i in faulty for number in range(1, tries)]
    more = _draw_once(
        voice, [parts[i] for i, _ in again], [speakers[i] for i, _ in again], settings, [s for _, s in again], checker
    )
    best = dict(enumerate(first))
    for (i, _), one in zip(again, more, strict=True):
        best[i] = min(best[i], one, key=lambda checked: checked.score)
    return [_taken(best[i], one.faults, tries if one.faults else 1, voice.rate) for i, one in enumerate(first)]


def _draw_once(
    voice: Voice,
    parts: Sequence[Line],
    speakers: Sequence[Speaker],
    settings: Decoding,
    seeds: Sequence[int],
    checker: Checker,
) -> list[Checked]:
    if not parts:
        return []
    every = voice.codes(parts, speakers, settings, seeds)
    with ThreadPoolExecutor(voice.workers(None)) as pool:
        sounds = pool.map(voice.sound, every, parts, speakers)
        return list(pool.map(checker.check, every, sounds, parts))


def _taken(best: Checked, found: tuple[str, ...], draws: int, rate: int) -> Drawn:
    if best.end is None:
        return Drawn(best.sound, found, best.faults, draws, cut=False)
    kept = best.sound[: round((best.end + _FADE) * rate)].copy()
    fade = min(len(kept), round(_FADE * rate))
    kept[len(kept) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return Drawn(kept, found, tuple(one for one in best.faults if one != RUNS_ON), draws, cut=True)
