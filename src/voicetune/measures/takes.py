"""The sentences that are spoken for the measures, and their takes: by a model, recorded, or through the codec."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch

from voicetune.data.codes import Codes
from voicetune.measures.spoken import Take
from voicetune.params import Decoding
from voicetune.speech.voice import Line, Voice, heard

_VOCODERS = 2  # at once: Griffin-Lim runs on one core


def sentences(codes: Codes, seed: int, count: int) -> np.ndarray:
    """Positions of the held-out clips that are spoken: the same for every model, drawn from the seed."""
    return np.sort(np.random.default_rng([seed, 4]).permutation(codes.held_out)[:count])


def speak(
    voice: Voice, codes: Codes, clips: Path, chosen: np.ndarray, decoding: Decoding, seed: int, takes: int
) -> list[Take]:
    """The sentences, spoken by a model in their speakers' voices, each `takes` times from seeds of its own.

    Args:
        clips: the folder of the recordings.
    """
    said = [codes.clips[i] for i in chosen]
    speakers = heard(voice.xtts, codes, clips, (clip.speaker for clip in said))
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


def recorded(codes: Codes, clips: Path, chosen: np.ndarray) -> list[Take]:
    """The sentences as they were recorded, at 22,050 Hz."""
    said = [codes.clips[i] for i in chosen]
    return [Take(clip, 0, soundfile.read(clips / clip.file, dtype="float32")[0]) for clip in said]


def through_codec(voice: Voice, codes: Codes, clips: Path, chosen: np.ndarray) -> list[Take]:
    """The recordings' own codes, made to sound as a model's are: what no model of this codec is expected to pass."""
    said = [codes.clips[i] for i in chosen]
    speakers = heard(voice.xtts, codes, clips, (clip.speaker for clip in said))
    own = [torch.from_numpy(codes.codes(i).astype(np.int64)) for i in chosen]
    return [
        Take(clip, 0, voice.sound(each, Line(clip.text, clip.language), speakers[clip.speaker]), stopped=True)
        for clip, each in zip(said, own, strict=True)
    ]
