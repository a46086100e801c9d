"""Encodes clips into tokens, codes and conditioning mels, once per clip and one clip at a time."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from TTS.tts.layers.xtts.dvae import DiscreteVAE

from voicetune.data.clip import Clip
from voicetune.data.codes import Encoded
from voicetune.text.spelling import Unreadable
from voicetune.xtts import codec
from voicetune.xtts.folder import open_dvae, open_tokenizer
from voicetune.xtts.text import MAX_TOKENS, Tokenizer


def find_fault(clip: Clip, tokenizer: Tokenizer) -> str | None:
    """Say why a clip's text cannot be trained on. None if it can be."""
    try:
        missing = tokenizer.unknown_characters(clip.text, clip.language)
    except Unreadable as error:
        return f"clip {clip.id}: {str(error).rstrip('.')}"
    if missing:
        shown = " ".join(f"'{m}'" for m in missing)
        return f"clip {clip.id} has {shown}, which the model's vocabulary does not know"
    count = len(tokenizer.encode(clip.text, clip.language))
    if count > MAX_TOKENS:
        return f"clip {clip.id} has {count} text tokens, more than the {MAX_TOKENS} that XTTS trains on"
    return None


def encode_clip(clip: Clip, samples: np.ndarray, tokenizer: Tokenizer, dvae: DiscreteVAE, mel_stats: Tensor) -> Encoded:
    """Encode one clip and its recording, (samples,). Shapes as in `voicetune.data.codes.Encoded`."""
    mel = codec.conditioning_mel(torch.from_numpy(samples)[None], mel_stats)[0].T
    return Encoded(
        tokens=tokenizer.encode(clip.text, clip.language),
        codes=codec.encode(dvae, samples, mel_stats).numpy().astype(np.int16),
        mel=mel.numpy().astype(np.float16),
    )


class Encoder:
    """A model folder's vocabulary and DVAE, see `voicetune.model.Encoder`."""

    def __init__(self, folder: Path, device: str):
        self.tokenizer = open_tokenizer(folder)
        self.dvae, self.mel_stats = open_dvae(folder)
        self.dvae.to(device)

    def fault_of(self, clip: Clip) -> str | None:
        return find_fault(clip, self.tokenizer)

    def encode(self, clip: Clip, samples: np.ndarray) -> Encoded:
        return encode_clip(clip, samples, self.tokenizer, self.dvae, self.mel_stats)


def open_encoder(folder: Path, device: str) -> Encoder:
    """Open a model folder to encode clips on a device.

    Raises:
        UserError: the vocabulary or the DVAE is missing or damaged.
    """
    return Encoder(folder, device)
