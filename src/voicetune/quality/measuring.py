"""Computes the figures of all clips for the checks of the catalogue."""

import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from voicetune.data.as_recorded import AsRecorded
from voicetune.data.clip import Clip
from voicetune.data.dataset import Dataset
from voicetune.measures.similarity import SpeakerEncoder
from voicetune.quality import texts, twins, voices
from voicetune.quality.catalogue import BY_NAME, TWINS
from voicetune.recognition import recogniser
from voicetune.recognition.intelligibility import Reading, read
from voicetune.recognition.recogniser import Recogniser

Figures = dict[str, float | None]
_KEY = "quality.asr"


@dataclass(frozen=True)
class Sound:
    """What is measured in one clip's sound: the voice, the fingerprint, and what the recogniser reads."""

    voice: voices.Voice
    fingerprint: np.ndarray
    reading: Reading | None


@dataclass(frozen=True)
class Measured:
    """What is known of a clip. figures: by check. heard: by the recogniser. details: words after a figure, by check."""

    figures: Figures
    heard: str
    details: dict[str, str]


def measure_sounds(clips: Sequence[Clip], data: Dataset, asr: str | None, device: str) -> Iterator[Sound]:
    """Measure the sound of each clip, in as many threads as there are cores. The order is that of the clips.

    Args:
        asr: the recogniser that reads each clip; None if none does.

    Raises:
        UserError: the recogniser cannot be used, or a clip's file is missing.
    """
    import torch

    torch.set_num_threads(1)  # the threads below share the cores; and one thread always sums in the same order
    encoder = SpeakerEncoder()
    for language in {clip.language for clip in clips} if asr else ():
        recogniser.refuse_english_only(str(asr), language, _KEY)
    if asr:
        recogniser.weights(asr, _KEY)
    readers = {one: Recogniser(asr, one, device) for one in sorted({c.language for c in clips})} if asr else {}

    def measure(clip: Clip) -> Sound:
        samples, rate = data.sound(clip)
        reader = readers.get(clip.language)
        return Sound(
            voices.measure(encoder, samples, rate),
            twins.fingerprint(samples, rate),
            read(reader, clip, samples, rate) if reader else None,
        )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(measure, clips)


def figures(clips: Sequence[Clip], recorded: Sequence[AsRecorded], sounds: Sequence[Sound]) -> list[Measured]:
    """Compute the figures of all clips but those of `add_twins`, rounded to what the checks show and a digit more.

    Args:
        recorded, sounds: of each clip, in the order of the clips.
    """
    found = [one.voice for one in sounds]
    columns = zip(
        clips, recorded, sounds,
        texts.pace(clips, [one.speech for one in found]),
        texts.foreign_letters(clips),
        voices.likeness(found, [clip.speaker for clip in clips]),
        strict=True,
    )  # fmt: skip
    return [_measured(*row) for row in columns]


def _measured(
    clip: Clip,
    recorded: AsRecorded,
    sound: Sound,
    pace: tuple[float, str] | None,
    letters: int,
    likeness: tuple[float | None, float | None],
) -> Measured:
    reading = sound.reading
    found: Figures = {
        "clipped": recorded.clipped,
        "level": recorded.level,
        "dc": recorded.dc,
        "snr": recorded.snr,
        "bandwidth": recorded.bandwidth,
        "edge": max(recorded.start, recorded.end),
        "pause": recorded.pause,
        "speech": sound.voice.speech / clip.seconds,
        "pace": pace[0] if pace else None,
        "letters": letters,
        "cer": None if reading is None else reading.character_errors / max(1, reading.characters),
        "voice": likeness[0],
        "voice_part": likeness[1],
        **dict.fromkeys(TWINS),
    }
    rounded = {name: _rounded(name, value) for name, value in found.items()}
    return Measured(rounded, reading.transcript if reading else "", {"pace": pace[1]} if pace else {})


def _rounded(name: str, value: float | None) -> float | None:
    return None if value is None else round(value, BY_NAME[name].digits + 1)


def add_twins(
    clips: Sequence[Clip], measured: Sequence[Measured], sounds: Sequence[Sound], fit: Collection[str]
) -> list[Measured]:
    """Add the figures that compare the clips with each other.

    Args:
        fit: the ids of the clips that no other check leaves out.
    """
    same_sound = twins.sounds(clips, np.stack([one.fingerprint for one in sounds]), fit)
    pairs = [dict(zip(TWINS, both, strict=True)) for both in zip(same_sound, twins.texts(clips, fit), strict=True)]
    return [
        replace(
            one,
            figures=one.figures | {name: _rounded(name, pair[0] if pair else None) for name, pair in own.items()},
            details=one.details | {name: f"with {pair[1]}" for name, pair in own.items() if pair},
        )
        for one, own in zip(measured, pairs, strict=True)
    ]
