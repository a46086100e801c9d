"""Guided attention for the tiny base: a nudge that lets text and sound align within minutes.

One head of some layers is rewarded for looking, at each moment of the sound, at the text token that is
about to be heard then (after Tachibana et al. 2018, https://arxiv.org/abs/1710.08969, whose diagonal is
bent here by how long each token lasts on average). It only shapes the training; the model stays a stock
one, and held-out figures are measured without it.
"""

import numpy as np
import torch
from torch import Tensor

from voicetune.data.codes import Codes
from voicetune.training.batches import LATENTS
from voicetune.xtts.gpt import Batch, TrainingLoss

HEAD = 0


def token_lengths(codes: Codes, vocabulary: int) -> Tensor:
    """How many audio codes each text token lasts, (vocabulary,): ridge regression of the clips' lengths
    on how often each token is in them. What the language's tag gets, which every clip has once, is how
    much shorter the last mark is at the end of a clip, where silence was trimmed."""
    counts = np.stack([np.bincount(codes.tokens(i), minlength=vocabulary) for i in codes.training]).astype(float)
    lengths = np.array([codes.codes(i).size for i in codes.training], float)
    solved = np.linalg.solve(counts.T @ counts + np.eye(vocabulary), counts.T @ lengths)
    return torch.from_numpy(solved).float()


class GuidedLoss(TrainingLoss):
    """TrainingLoss, and in training the guidance added to every audio token's cross entropy.

    weight: of the guidance, nats per audio token. sigma: how far off may be looked, in audio codes.
    lengths: of the text tokens, see `token_lengths`. layers: those whose first head is guided.
    """

    def __init__(self, gpt, weight: float, sigma: float, lengths: Tensor, layers: tuple[int, ...] = (1, 2, 3, 4)):
        super().__init__(gpt)
        self.weight, self.sigma, self.lengths = weight, sigma, lengths
        self._band: Tensor | None = None
        self._found: list[Tensor] = []
        for layer in layers:
            gpt.gpt.h[layer].attn.watch = self._watch

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        if not (self.training and self.weight):
            return super().forward(batch)
        self._band, self._found = diagonal(batch, self.lengths, self.sigma), []
        text, mel = super().forward(batch)
        guidance = torch.stack(self._found).mean()
        self._band = None
        return text, mel + self.weight * guidance

    def _watch(self, weights: Tensor) -> None:
        """Collect minus the log of the attention that lies on the diagonal; weights (b, heads, s, s)."""
        if self._band is None:
            return
        seen = (weights[:, HEAD].float() * self._band).sum(2)  # (b, s)
        asked = self._band.amax(2) > 0.1
        self._found.append(-torch.log(seen[asked] + 1e-3).mean())


def diagonal(batch: Batch, lengths: Tensor, sigma: float) -> Tensor:
    """How welcome it is that a row's place q looks at its place k: (b, s, s), 0 to 1."""
    clips, width = batch.row_index.shape
    band = torch.zeros(clips, width, width)
    mel = torch.bincount(batch.mel_clips, minlength=clips)  # audio tokens of each clip, one STOP included
    for i in range(clips):
        first = int(batch.mel_places[batch.mel_clips == i].min()) - i * width
        sounding = torch.arange(int(mel[i])) + 0.5
        lasting = lengths[batch.text[i, 1 : first - LATENTS - 1]]  # without START and STOP
        lasting[-1] += lasting[0]
        lasting[0] = 0
        lasting = lasting.clamp(min=0.05)
        middle = (lasting.cumsum(0) - lasting / 2) * (mel[i] / lasting.sum())
        near = torch.exp(-((sounding[:, None] - middle[None]) ** 2) / (2 * sigma**2))
        band[i, first : first + len(sounding), LATENTS + 1 : LATENTS + 1 + len(middle)] = near
    return band
