"""XTTS's own speaker encoder, for comparison with the published figures (Casanova et al. 2024, arXiv:2406.04904)."""

import numpy as np
import torch
from TTS.tts.models.xtts import Xtts

from voicetune.data.audible import audible


class OwnEncoder:
    """Embeds a voice. XTTS was trained with this encoder, so no verdict uses it.

    Args:
        xtts: a model whose HiFi-GAN has real weights; the encoder is a part of it.
    """

    def __init__(self, xtts: Xtts) -> None:
        self._xtts = xtts

    def embed(self, samples: np.ndarray, rate: int) -> np.ndarray | None:
        """Like `measures.similarity.SpeakerEncoder.embed`, but the float32 unit vector has shape (512,)."""
        samples = np.asarray(samples, np.float32)
        if not audible(samples, rate):
            return None
        with torch.inference_mode():
            embedded = self._xtts.get_speaker_embedding(torch.from_numpy(samples)[None], rate)
        return embedded.flatten().cpu().numpy()
