"""Compute from recordings whose voice XTTS speaks with: conditioning latents and speaker embedding."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from TTS.tts.models.xtts import Xtts

from voicetune.model import REFERENCE_SECONDS, Speaker
from voicetune.xtts import codec, renderer


def compute_speaker(xtts: Xtts, vocoder: str, clips: Sequence[np.ndarray]) -> Speaker:
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
            embedding = renderer.embedding_of(_join(clips))
        else:
            embedding = xtts.get_speaker_embedding(_join(clips).to(xtts.device), codec.SAMPLE_RATE)
    return {"gpt_cond_latent": compute_latents(xtts, clips), "speaker_embedding": embedding.cpu().clone()}


def compute_latents(xtts: Xtts, clips: Sequence[np.ndarray]) -> Tensor:
    """Compute the conditioning latents alone, which takes a tenth of the time. Arguments as in `compute_speaker`."""
    with torch.inference_mode():
        found = xtts.get_gpt_cond_latents(
            _join(clips), codec.SAMPLE_RATE, length=REFERENCE_SECONDS, chunk_length=xtts.config.gpt_cond_chunk_len
        )
    return found.cpu().clone()


def _join(clips: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(list(clips)))[None, : codec.SAMPLE_RATE * REFERENCE_SECONDS]
