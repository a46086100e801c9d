"""The rows of XTTS's GPT as tensors, and the special tokens in them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from TTS.tts.layers.xtts.gpt import GPT


@dataclass(frozen=True)
class Tokens:
    """The GPT's special tokens."""

    start_text: int
    stop_text: int
    start_audio: int
    stop_audio: int

    @classmethod
    def of(cls, gpt: GPT) -> "Tokens":
        return cls(gpt.start_text_token, gpt.stop_text_token, gpt.start_audio_token, gpt.stop_audio_token)


@dataclass  # not frozen, because Fabric rebuilds a batch to convert its precision
class Batch:
    """One micro-batch of b clips and r conditioning references. All tensors are on one device.

    text: (b, t) int64, START then tokens (then STOP if the audio may attend to it), padded with 0.
    codes: (b, m) int64, START then codes then all STOPs but the last, padded with 0.
    references: (r, 80, frames) float32, conditioning mels.
    reference_of: (b,) int64, the index of each clip's reference.
    row_index: (b, s) int64, for each position of a packed row, its source position in [latents | text | codes].
    text_places, text_targets, text_clips: (n,) int64 each. For each text target: the position in (b*s) that predicts
        it, the token, and its clip's index in the batch.
    mel_places, mel_targets, mel_clips: the same for audio codes.
    """

    text: Tensor
    codes: Tensor
    references: Tensor
    reference_of: Tensor
    row_index: Tensor
    text_places: Tensor
    text_targets: Tensor
    text_clips: Tensor
    mel_places: Tensor
    mel_targets: Tensor
    mel_clips: Tensor

    def to(self, device: torch.device) -> "Batch":
        later = torch.device(device).type == "cuda"  # a GPU of Apple would read memory that is free again by then
        return Batch(**{name: value.to(device, non_blocking=later) for name, value in vars(self).items()})
