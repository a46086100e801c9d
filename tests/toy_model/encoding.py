"""Clips to tokens and codes. The conditioning mel holds the loudness in all of its 80 bands."""

from pathlib import Path

import numpy as np

from toy_model import codec
from voicetune.data.clip import Clip
from voicetune.data.codes import Encoded


def tokens_of(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int32)


def mel_of(samples: np.ndarray) -> np.ndarray:
    return np.repeat(codec.loudness(samples)[:, None] / codec.CODES, 80, 1).astype(np.float16)


class Encoder:
    def fault_of(self, clip: Clip) -> str | None:
        return None if clip.text.isascii() else f"clip {clip.id} has other letters than ASCII"

    def encode(self, clip: Clip, samples: np.ndarray) -> Encoded:
        return Encoded(tokens_of(clip.text), codec.loudness(samples), mel_of(samples))


def open_encoder(folder: Path, device: str) -> Encoder:
    return Encoder()
