"""Sentences spoken by a model, or recordings through its codec, as takes."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from voicetune.data.codes import Codes
from voicetune.measures.takes import Take
from voicetune.params.decoding import Decoding
from voicetune.speech import references
from voicetune.speech.conditioning import Speaker
from voicetune.speech.voice import Line, Voice

_VOCODERS = 2  # at once: Griffin-Lim runs on one core


def speak(
    voice: Voice,
    codes: Codes,
    speakers: Mapping[str, Speaker],
    chosen: np.ndarray,
    decoding: Decoding,
    seed: int,
    takes: int,
) -> list[Take]:
    """The sentences, spoken by a model in their speakers' voices, each `takes` times from seeds of its own.

    Args:
        speakers: by name, as the model hears them.
        chosen: positions of the clips whose texts are spoken.
    """
    said = [codes.clips[i] for i in chosen]
    numbers = [number for number in range(takes) for _ in said]
    said = said * takes
    lines, who = [Line(clip.text, clip.language) for clip in said], [speakers[clip.speaker] for clip in said]
    every = voice.codes(lines, who, decoding, [seed + number for number in numbers])
    with ThreadPoolExecutor(_VOCODERS) as pool:
        sounds = list(pool.map(voice.sound, every, lines, who))
    return [
        Take(clip, number, sound, stopped=len(own) < voice.xtts.gpt.max_gen_mel_tokens)
        for clip, number, sound, own in zip(said, numbers, sounds, every, strict=True)
    ]


def through_codec(voice: Voice, codes: Codes, clips: Path, chosen: np.ndarray) -> list[Take]:
    """The recordings' own codes, made to sound as this model's are; with HiFi-GAN, by its GPT's latents of them."""
    said = [codes.clips[i] for i in chosen]
    speakers = _speakers(voice, codes, clips, {clip.speaker for clip in said})
    own = [torch.from_numpy(codes.codes(i).astype(np.int64)) for i in chosen]
    lines, who = [Line(clip.text, clip.language) for clip in said], [speakers[clip.speaker] for clip in said]
    with ThreadPoolExecutor(_VOCODERS) as pool:
        sounds = list(pool.map(voice.sound, own, lines, who))
    return [Take(clip, 0, sound, stopped=True) for clip, sound in zip(said, sounds, strict=True)]


def _speakers(voice: Voice, codes: Codes, clips: Path, names: Iterable[str]) -> Mapping[str, Speaker]:
    """Each speaker's best reference, as the model itself speaks with it. The DVAE's own decoder needs none."""
    if voice.vocoder == "griffin_lim":
        return {name: {} for name in names}
    return {name: one.speaker for name, one in references.best(voice.xtts, voice.vocoder, codes, clips, names).items()}
