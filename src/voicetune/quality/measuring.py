"""Computes the figures of all clips for the checks of the catalogue."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from voicetune.data.as_recorded import AsRecorded
from voicetune.data.clip import Clip
from voicetune.data.dataset import Dataset
from voicetune.measures.intelligibility import Reading, read
from voicetune.measures.recogniser import Recogniser
from voicetune.measures.similarity import SpeakerEncoder
from voicetune.quality import texts, twins, voices
from voicetune.quality.catalogue import BY_NAME

Figures = dict[str, float | None]


@dataclass(frozen=True)
class _Sound:
    """What is measured in one clip's sound: the voice, the fingerprint, and what the recogniser reads."""

    heard: voices.Heard
    fingerprint: np.ndarray
    reading: Reading | None


@dataclass(frozen=True)
class Measured:
    """What is known of a clip. figures: by check. heard: by the recogniser. twins: the most similar clip, by check."""

    figures: Figures
    heard: str
    twins: dict[str, str]


def measure_sounds(clips: Sequence[Clip], data: Dataset, asr: str | None, device: str) -> Iterator[_Sound]:
    """Measure the sound of each clip, in as many threads as there are cores. The order is that of the clips.

    Args:
        asr: the recogniser that reads each clip; None if none does.

    Raises:
        UserError: the recogniser cannot be used, or a clip's file is missing.
    """
    import torch

    torch.set_num_threads(1)  # the threads below share the cores; and one thread always sums in the same order
    encoder = SpeakerEncoder()
    readers = {one: Recogniser(asr, one, device) for one in sorted({c.language for c in clips})} if asr else {}

    def measure(clip: Clip) -> _Sound:
        samples, rate = data.sound(clip)
        reader = readers.get(clip.language)
        return _Sound(
            voices.measure(encoder, samples, rate),
            twins.fingerprint(samples, rate),
            read(reader, clip, samples, rate) if reader else None,
        )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(measure, clips)


def figures(clips: Sequence[Clip], recorded: Sequence[AsRecorded], sounds: Sequence[_Sound]) -> list[Measured]:
    """Compute the figures of all clips, rounded to what the checks show and a digit more.

    Args:
        recorded, sounds: of each clip, in the order of the clips.
    """
    heard = [one.heard for one in sounds]
    columns = zip(
        clips, recorded, sounds,
        texts.pace(clips, [one.speech for one in heard]),
        texts.foreign_letters(clips),
        voices.likeness(heard, [clip.speaker for clip in clips]),
        twins.sounds(clips, np.stack([one.fingerprint for one in sounds])),
        twins.texts(clips),
        strict=True,
    )  # fmt: skip
    return [_measured(*row) for row in columns]


def _measured(
    clip: Clip,
    recorded: AsRecorded,
    sound: _Sound,
    pace: float | None,
    letters: int,
    likeness: tuple[float | None, float | None],
    same_sound: tuple[float, str] | None,
    same_text: tuple[float, str] | None,
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
        "speech": sound.heard.speech / clip.seconds,
        "pace": pace,
        "letters": letters,
        "cer": None if reading is None else reading.character_errors / max(1, reading.characters),
        "voice": likeness[0],
        "voice_part": likeness[1],
        "twin_sound": same_sound[0] if same_sound else None,
        "twin_text": same_text[0] if same_text else None,
    }
    rounded = {name: None if value is None else round(value, BY_NAME[name].digits + 1) for name, value in found.items()}
    pairs = {"twin_sound": same_sound, "twin_text": same_text}
    return Measured(
        rounded, reading.transcript if reading else "", {name: pair[1] for name, pair in pairs.items() if pair}
    )
