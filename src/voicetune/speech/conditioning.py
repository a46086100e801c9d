"""Compute from recordings whose voice a model speaks with: conditioning latents and speaker embedding."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from TTS.tts.models.xtts import Xtts

from voicetune.data.codes import Codes
from voicetune.xtts import codec, renderer

REFERENCE_SECONDS = 30

Speaker = dict[str, Tensor]


def listen(xtts: Xtts, vocoder: str, clips: Sequence[np.ndarray]) -> Speaker:
    """Compute a speaker's conditioning latents and speaker embedding.

    The stock model's own functions compute both. With the renderer, the speaker embedding is the renderer's own.

    Args:
        vocoder: the vocoder named in the model's folder. For `renderer`, see `renderer.embedding_of`.
        clips: recordings, each (samples,) at 22,050 Hz. They are joined, and only the first 30 s are used.

    Returns:
        gpt_cond_latent (1, 32, width) and speaker_embedding (1, 512, 1), as speakers_xtts.pth keeps them.
    """
    with torch.inference_mode():
        if vocoder == "renderer":
            embedding = renderer.embedding_of(_joined(clips))
        else:
            embedding = xtts.get_speaker_embedding(_joined(clips).to(xtts.device), codec.SAMPLE_RATE)
    return {"gpt_cond_latent": latents(xtts, clips), "speaker_embedding": embedding.cpu().clone()}


def latents(xtts: Xtts, clips: Sequence[np.ndarray]) -> Tensor:
    """Compute the conditioning latents alone, which takes a tenth of the time. Arguments as in `listen`."""
    with torch.inference_mode():
        found = xtts.get_gpt_cond_latents(
            _joined(clips), codec.SAMPLE_RATE, length=REFERENCE_SECONDS, chunk_length=xtts.config.gpt_cond_chunk_len
        )
    return found.cpu().clone()


def _joined(clips: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(list(clips)))[None, : codec.SAMPLE_RATE * REFERENCE_SECONDS]


def longest(codes: Codes, speaker: str) -> list[int]:
    """Positions of a speaker's longest training clips, until they have 30 s together, or all clips are taken."""
    known = sorted(
        codes.training_clips_of(speaker).tolist(), key=lambda i: (-codes.clips[i].seconds, codes.clips[i].id)
    )
    chosen, total = [], 0.0
    for i in known:
        if total >= REFERENCE_SECONDS:
            break
        chosen.append(i)
        total += codes.clips[i].seconds
    return chosen


def recordings(codes: Codes, clips: Path, speaker: str) -> list[np.ndarray]:
    """The sounds of a speaker's longest training clips, to pass to `listen`.

    Args:
        clips: the folder of the cleaned clips.
    """
    return sounds(codes, clips, longest(codes, speaker))


def sounds(codes: Codes, clips: Path, chosen: Iterable[int]) -> list[np.ndarray]:
    """The sounds of clips, each (samples,) float32 at 22,050 Hz."""
    return [soundfile.read(clips / codes.clips[i].file, dtype="float32")[0] for i in chosen]


def compute_speakers(xtts: Xtts, vocoder: str, codes: Codes, clips: Path, names: Iterable[str]) -> dict[str, Speaker]:
    """Compute the speakers of a dataset by name, each by `listen` from the speaker's longest training clips."""
    return {name: listen(xtts, vocoder, recordings(codes, clips, name)) for name in sorted(set(names))}
