"""Whose voice a model speaks with: conditioning latents and speaker embedding, computed from recordings."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from TTS.tts.models.xtts import Xtts

from voicetune.data.codes import Codes
from voicetune.xtts import codec

_REFERENCE_SECONDS = 30

Speaker = dict[str, Tensor]


def listen(xtts: Xtts, clips: Sequence[np.ndarray]) -> Speaker:
    """Conditioning latents and speaker embedding of a speaker, by the stock model's own functions.

    Args:
        clips: recordings, each (samples,) at 22,050 Hz; the first 30 s of them together are heard.

    Returns:
        gpt_cond_latent (1, 32, width) and speaker_embedding (1, 512, 1), as speakers_xtts.pth keeps them.
    """
    joined = torch.from_numpy(np.concatenate(list(clips)))[None, : codec.SAMPLE_RATE * _REFERENCE_SECONDS]
    with torch.inference_mode():
        latents = xtts.get_gpt_cond_latents(
            joined, codec.SAMPLE_RATE, length=_REFERENCE_SECONDS, chunk_length=xtts.config.gpt_cond_chunk_len
        )
        embedding = xtts.get_speaker_embedding(joined.to(xtts.device), codec.SAMPLE_RATE)
    return {"gpt_cond_latent": latents.cpu().clone(), "speaker_embedding": embedding.cpu().clone()}


def recordings(codes: Codes, clips: Path, speaker: str) -> list[np.ndarray]:
    """A speaker's longest training clips, 30 s of them or a little more: what `listen` hears.

    Args:
        clips: the folder of the cleaned clips.
    """
    known = sorted((codes.clips[i] for i in codes.training_clips_of(speaker)), key=lambda c: (-c.seconds, c.id))
    chosen, total = [], 0.0
    for clip in known:
        if total >= _REFERENCE_SECONDS:
            break
        chosen.append(soundfile.read(clips / clip.file, dtype="float32")[0])
        total += clip.seconds
    return chosen


def heard(xtts: Xtts, codes: Codes, clips: Path, names: Iterable[str]) -> dict[str, Speaker]:
    """Speakers of a dataset as a model hears their recordings, by name; see `listen`."""
    return {name: listen(xtts, recordings(codes, clips, name)) for name in sorted(set(names))}
