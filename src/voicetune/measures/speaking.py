"""Makes takes: sentences spoken by a model, and recordings passed through its codec."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from voicetune.data.codes import Codes
from voicetune.data.dataset import Dataset
from voicetune.measures.takes import Take
from voicetune.model import Speaker
from voicetune.params.decoding import Decoding
from voicetune.speech import references
from voicetune.speech.voice import Line, Voice

_VOCODERS = 2  # sounds vocoded at once, because Griffin-Lim uses one core for each


def speak(
    voice: Voice,
    codes: Codes,
    speakers: Mapping[str, Speaker],
    chosen: np.ndarray,
    decoding: Decoding,
    seed: int,
    takes: int,
) -> list[Take]:
    """Speak each sentence `takes` times in its speaker's voice.

    Args:
        speakers: the voice of each speaker, by name.
        chosen: positions of the clips whose texts are spoken.
        seed: of the first takes; each further take of the sentences has the next seed.
    """
    said = [codes.clips[i] for i in chosen]
    numbers = [number for number in range(takes) for _ in said]
    said = said * takes
    lines, who = [Line(clip.text, clip.language) for clip in said], [speakers[clip.speaker] for clip in said]
    every = voice.codes(lines, who, decoding, [seed + number for number in numbers])
    with ThreadPoolExecutor(voice.workers(_VOCODERS)) as pool:
        sounds = list(pool.map(voice.sound, every, lines, who))
    return [
        Take(clip, number, sound, stopped=voice.model.stopped(own))
        for clip, number, sound, own in zip(said, numbers, sounds, every, strict=True)
    ]


def through_codec(voice: Voice, data: Dataset, chosen: np.ndarray) -> list[Take]:
    """Turn the recordings' own audio codes into sound, in the way this model's codes become sound.

    (HiFi-GAN does not read codes, so with it the model's GPT first computes its latents of them.)
    """
    codes = data.codes
    said = [codes.clips[i] for i in chosen]
    speakers = _speakers(voice, data, {clip.speaker for clip in said})
    own = [torch.from_numpy(codes.codes(i).astype(np.int64)) for i in chosen]
    lines, who = [Line(clip.text, clip.language) for clip in said], [speakers[clip.speaker] for clip in said]
    with ThreadPoolExecutor(voice.workers(_VOCODERS)) as pool:
        sounds = list(pool.map(voice.sound, own, lines, who))
    return [Take(clip, 0, sound, stopped=True) for clip, sound in zip(said, sounds, strict=True)]


def describe_codec(voice: Voice) -> dict[str, str | bool]:
    """The facts of the codec row: its vocoder, and whether the base's network computed what the vocoder reads."""
    return {"vocoder": voice.model.vocoder} | ({"voiced_by_base": True} if voice.model.voices_latents else {})


def _speakers(voice: Voice, data: Dataset, names: Iterable[str]) -> Mapping[str, Speaker]:
    """Each speaker's best reference, as in stage speak; empty if the codec needs none."""
    if not voice.model.needs_speaker:
        return {name: {} for name in names}
    return {name: one.speaker for name, one in references.best(voice.model, data, names).items()}
