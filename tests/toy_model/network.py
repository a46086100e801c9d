"""The toy's network and its loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toy_model.codec import CODES
from voicetune.data.codes import Codes
from voicetune.model import Loss, Recipe

LETTERS = 128  # text tokens are ASCII; 0 begins a text, 1 ends it and begins the codes
STOP = CODES  # ends the codes
_WIDTH = 16


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(LETTERS + CODES, _WIDTH)
        self.voice = nn.Linear(80, _WIDTH)
        self.gru = nn.GRU(_WIDTH, _WIDTH, batch_first=True)
        self.text_head = nn.Linear(_WIDTH, LETTERS)
        self.mel_head = nn.Linear(_WIDTH, CODES + 1)

    def forward(self, tokens: Tensor, voices: Tensor) -> Tensor:
        """tokens (b, s) int64 and voices (b, 80) -> (b, s, width)."""
        return self.gru(self.tokens(tokens) + self.voice(voices)[:, None])[0]


@dataclass
class Drawn:
    """voices: (b, 80), of another clip of each clip's speaker."""

    clips: np.ndarray
    voices: np.ndarray

    def part(self, rows: slice) -> "Drawn":
        return Drawn(self.clips[rows], self.voices[rows])

    def targets(self, codes: Codes, recipe: Recipe) -> tuple[int, int]:
        return tuple(sum(part(i).size + 1 for i in self.clips) for part in (codes.tokens, codes.codes))


@dataclass
class Batch:
    """tokens: (b, s), a row is [0 text 1 codes], padded. places: of the tokens that predict, in (b * s)."""

    tokens: Tensor
    voices: Tensor
    text_places: Tensor
    text_targets: Tensor
    text_clips: Tensor
    mel_places: Tensor
    mel_targets: Tensor
    mel_clips: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(**{name: value.to(device) for name, value in vars(self).items()})


class ToyLoss(Loss):
    @property
    def blocks(self) -> Sequence[nn.Module]:
        return [self.network.gru]

    @property
    def mel_head(self) -> nn.Module:
        return self.network.mel_head

    @property
    def adapted(self) -> dict[str, Any]:
        return {"target_modules": ["text_head", "mel_head"]}

    def set_dropout(self, probability: float) -> None:
        """It has none."""

    def recompute_activations(self) -> None:
        """It has few."""

    def draw(self, codes: Codes, clips: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> Drawn:
        pools = [np.setdiff1d(codes.training_clips_of(codes.speakers[i]), [i]) for i in clips]
        return Drawn(clips, np.stack([voice_of(codes.mel(rng.choice(pool))) for pool in pools]))

    def batch(self, codes: Codes, drawn: Drawn, recipe: Recipe) -> Batch:
        texts, said = [codes.tokens(i) for i in drawn.clips], [codes.codes(i) for i in drawn.clips]
        rows = [np.concatenate([[0], t, [1], c + LETTERS]) for t, c in zip(texts, said, strict=True)]
        width = max(map(len, rows))
        begins = [i * width for i in range(len(rows))]
        places = {
            "text": [b + np.arange(t.size + 1) for b, t in zip(begins, texts, strict=True)],
            "mel": [b + t.size + 1 + np.arange(c.size + 1) for b, t, c in zip(begins, texts, said, strict=True)],
        }
        targets = {"text": [np.append(t, 1) for t in texts], "mel": [np.append(c, STOP) for c in said]}
        flat = {f"{kind}_places": np.concatenate(found) for kind, found in places.items()}
        flat |= {f"{kind}_targets": np.concatenate(found) for kind, found in targets.items()}
        flat |= {f"{k}_clips": np.repeat(np.arange(len(rows)), [p.size for p in found]) for k, found in places.items()}
        tokens = np.stack([np.pad(row, (0, width - row.size)) for row in rows])
        tensors = {name: torch.from_numpy(value.astype(np.int64)) for name, value in flat.items()}
        return Batch(torch.from_numpy(tokens.astype(np.int64)), torch.from_numpy(drawn.voices), **tensors)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        hidden = self.network(batch.tokens, batch.voices).flatten(0, 1)
        text = self.network.text_head(hidden[batch.text_places]).float()
        mel = self.network.mel_head(hidden[batch.mel_places]).float()
        return (
            F.cross_entropy(text, batch.text_targets, reduction="none"),
            F.cross_entropy(mel, batch.mel_targets, reduction="none"),
        )


def voice_of(mel: np.ndarray) -> np.ndarray:
    """The mean of a conditioning mel (frames, 80): (80,) float32."""
    return mel.astype(np.float32).mean(0)
