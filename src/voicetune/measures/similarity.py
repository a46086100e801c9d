"""SECS (speaker encoder cosine similarity): how much one voice resembles another.

The encoder is Resemblyzer's (https://github.com/resemble-ai/Resemblyzer), trained with the GE2E loss
(Wan et al. 2018, arXiv:1710.10467). Its weights come with its package. Its embeddings have no negative values, so
the cosine lies between 0 and 1. Different voices often reach 0.6.
"""

from collections.abc import Sequence

import numpy as np
import soxr

from voicetune.data.audible import audible
from voicetune.errors import UserError

_RATE = 16000  # resemblyzer.hparams.sampling_rate
_NO_PARTS = np.zeros((0, 256), np.float32)


class SpeakerEncoder:
    """Embeds a voice on the CPU, where the same samples always give the same embedding."""

    def __init__(self) -> None:
        from resemblyzer import VoiceEncoder  # imports torch and librosa (seconds), so only where it is used
        from resemblyzer.audio import normalize_volume
        from resemblyzer.hparams import audio_norm_target_dBFS

        self._encoder = VoiceEncoder("cpu", verbose=False)
        self._levelled = lambda samples: normalize_volume(samples, audio_norm_target_dBFS)

    def embed(self, samples: np.ndarray, rate: int) -> np.ndarray | None:
        """Embed one utterance.

        Args:
            samples: float32 in -1 to 1, shape (samples,).
            rate: sample rate in Hz.

        Returns:
            A float32 unit vector, shape (256,). None if the audio is silent, not finite or shorter than 0.25 s: it has
            no voice, and `secs` counts it as 0.

        The audio is resampled and levelled as in resemblyzer.audio.preprocess_wav, with two differences. First, loud
        audio is lowered too, while the original only raises quiet audio. The embedding depends on the level (one voice
        at two levels: cosine 0.92), although the level is no part of a voice. Second, silence is not cut. Otherwise the
        figure would also depend on how the voice activity detector judges synthetic speech.
        """
        return self.embed_parts(samples, rate)[0]

    def embed_parts(self, samples: np.ndarray, rate: int) -> tuple[np.ndarray | None, np.ndarray]:
        """Embed one utterance and its parts of 1.6 s, of which two neighbours overlap by half.

        Returns:
            what `embed` returns, and the embeddings of the parts, (parts, 256) float32; without a voice there are none.
        """
        samples = np.asarray(samples, np.float32)
        if not audible(samples, rate):
            return None, _NO_PARTS
        levelled = self._levelled(soxr.resample(samples, rate, _RATE))
        embedding, parts, _ = self._encoder.embed_utterance(levelled, return_partials=True)
        if not np.isfinite(embedding).all():
            return None, _NO_PARTS
        return embedding.astype(np.float32), parts.astype(np.float32)


def secs(a: np.ndarray | None, b: np.ndarray | None) -> float:
    """Cosine of two embeddings; 0 if one is None, so that a take without a voice lowers the mean SECS."""
    if a is None or b is None:
        return 0.0
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def reference_embedding(embeddings: Sequence[np.ndarray | None]) -> np.ndarray:
    """A speaker's embedding: the normalised mean of several utterances' embeddings, without the Nones.

    Returns:
        A float32 unit vector, of the embeddings' shape.

    Raises:
        UserError: no utterance has an embedding.
    """
    voiced = [embedding for embedding in embeddings if embedding is not None]
    if not voiced:
        raise UserError("no recording is long and loud enough to measure its voice; check the recordings in data/raw.")
    mean = np.mean(voiced, axis=0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)
