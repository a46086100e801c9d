"""Guided attention for the natural base: a nudge that lets text and sound align within minutes.

One head of some layers is rewarded for looking, at each moment of the sound, at the text token that is
heard then (after Tachibana et al. 2018, https://arxiv.org/abs/1710.08969, whose diagonal is replaced by
the moments at which each word began, as the synthesiser says; in a word the tokens share its time by how long each
lasts on average). It only shapes the training: the model stays a stock one, and held-out figures are
measured without it.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from voicetune.data.codes import FRAMES_PER_SECOND, Codes
from voicetune.xtts.gpt import Batch, TrainingLoss
from voicetune.xtts.rows import FRAMES_PER_CODE, LATENTS

HEAD = 0
MARKS = ".,?!'-:;"
_SHORTEST = 0.05  # codes that every token gets at least

Spans = dict[bytes, tuple[Tensor, Tensor]]
"""Of a clip's text tokens (int64, as bytes): begin and end of each in the sound, in audio codes."""


def spans(codes: Codes, words_file: Path, space: int, vocabulary: int) -> Spans:
    """When each text token of each training clip is heard.

    words_file: JSON, for each clip id the words' places in the text and first moments (seconds).
    """
    words = json.loads(words_file.read_text())
    groups = {}
    for i in codes.training:
        clip, tokens = codes.clips[i], codes.tokens(i).astype(np.int64)
        if clip.id not in words:
            continue
        stretch, starts = word_starts(clip.text, words[clip.id])
        of_token = np.maximum(np.cumsum(tokens == space) - (tokens == space), 0)
        if len(stretch) == of_token[-1] + 1:  # else a text that the tokenizer's cleaners made longer or shorter
            edges = np.array([*starts, codes.codes(i).size / FRAMES_PER_SECOND * FRAMES_PER_CODE])
            edges = np.maximum.accumulate(edges * FRAMES_PER_SECOND / FRAMES_PER_CODE)
            groups[tokens.tobytes()] = (tokens, stretch[of_token], edges, clip.text[-1] in MARKS)
    lasting = token_lengths(groups.values(), vocabulary)
    return {key: _spread(*group, lasting) for key, group in groups.items()}


def word_starts(text: str, words: list[list[float]]) -> tuple[np.ndarray, list[float]]:
    """Which stretch of sound each blank-separated word belongs to, (words,), and when each stretch begins,
    seconds. espeak-ng reads some pairs, such as "of the", as one word."""
    bounds = np.cumsum([len(word) + 1 for word in text.split(" ")])
    begins = {int(np.searchsorted(bounds, place, side="right")): max(0.0, second) for place, second in reversed(words)}
    begins[0] = 0.0
    heard = np.array([word in begins for word in range(len(bounds))])
    return np.cumsum(heard) - 1, [begins[word] for word in sorted(begins)]


def token_lengths(groups, vocabulary: int) -> np.ndarray:
    """How many audio codes each text token lasts, (vocabulary,): ridge regression of the stretches'
    lengths, but for each clip's last, on the tokens in them."""
    gram, right = np.eye(vocabulary), np.zeros(vocabulary)
    for tokens, of_token, edges, _ in groups:
        for stretch, length in enumerate(np.diff(edges)[:-1]):
            inside = np.unique(tokens[of_token == stretch], return_counts=True)
            gram[np.ix_(inside[0], inside[0])] += np.outer(inside[1], inside[1])
            right[inside[0]] += inside[1] * length
    return np.linalg.solve(gram, right)


def _spread(
    tokens: np.ndarray, of_token: np.ndarray, edges: np.ndarray, marked: bool, lasting: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Begin and end of each token, (t,) each; a stretch's tokens tile it. marked: the last one is a mark."""
    lengths = np.maximum(lasting[tokens], _SHORTEST)
    lengths[0] = _SHORTEST  # the language's tag
    if marked:
        lengths[-1] = _SHORTEST  # its silence was trimmed
    per_stretch = np.bincount(of_token, lengths)
    lengths = lengths * (np.diff(edges) / per_stretch)[of_token]
    ends = np.cumsum(lengths)
    return torch.from_numpy(ends - lengths).float(), torch.from_numpy(ends).float()


class GuidedLoss(TrainingLoss):
    """TrainingLoss, and in training the guidance added to every audio token's cross entropy.

    weight: of the guidance, nats per audio token. sigma: how far off may be looked, in audio codes.
    The first head of every layer is guided, but of the first and the last one.
    """

    def __init__(self, gpt, weight: float, sigma: float, heard: Spans):
        super().__init__(gpt)
        self.weight, self.sigma, self.heard = weight, sigma, heard
        self._band: Tensor | None = None
        self._asked: Tensor | None = None
        self._found: list[Tensor] = []
        self.guidance = 0.0  # of the last batch, before its weight: minus the log of what lay on the diagonal
        for block in gpt.gpt.h[1 : max(2, len(gpt.gpt.h) - 1)]:
            block.attn.watch = self._watch

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        if not (self.training and self.weight):
            return super().forward(batch)
        self._band, self._found = diagonal(batch, self.heard, self.sigma), []
        self._asked = self._band.amax(2) > 0.1
        text, mel = super().forward(batch)
        guidance = torch.stack(self._found).mean()
        self._band = None
        self.guidance = float(guidance.detach())
        return text, mel + self.weight * guidance

    def _watch(self, weights: Tensor) -> None:
        """Collect minus the log of the attention that lies on the diagonal; weights (b, heads, s, s)."""
        if self._band is None:
            return
        seen = (weights[:, HEAD].float() * self._band).sum(2)[self._asked]
        self._found.append(-torch.log(seen + 1e-3).mean())


def diagonal(batch: Batch, heard: Spans, sigma: float) -> Tensor:
    """How welcome it is that a row's place q looks at its place k: (b, s, s), 0 to 1."""
    clips, width = batch.row_index.shape
    band = torch.zeros(clips, width, width)
    mel = torch.bincount(batch.mel_clips, minlength=clips)  # audio tokens of each clip, one STOP included
    for i in range(clips):
        first = int(batch.mel_places[batch.mel_clips == i].min()) - i * width
        tokens = batch.text[i, 1 : first - LATENTS - 1]  # without START and STOP
        if (span := heard.get(tokens.numpy().tobytes())) is None:
            continue
        moment = (torch.arange(int(mel[i])) + 0.5)[:, None]
        pace = (int(mel[i]) - 1) / float(span[1][-1])  # the same text in another voice takes another time
        off = torch.relu(torch.maximum(span[0] * pace - moment, moment - span[1] * pace))
        near = torch.exp(-(off**2) / (2 * sigma**2))
        band[i, first : first + len(near), LATENTS + 1 : LATENTS + 1 + near.shape[1]] = near
    return band
