"""Guided attention for the tiny base: an extra loss with which the attention aligns text and sound within minutes.

In some layers, the loss rewards one head if each audio token attends to the text token that is spoken at its moment.
The method is that of Tachibana et al. 2018 (https://arxiv.org/abs/1710.08969). They assume that the alignment is a
diagonal. Here it comes from the moments at which the synthesiser began each word. Within a word, each token gets time
in proportion to how long it lasts on average. The loss is used in training alone. The model stays a stock model, and
validation figures are measured without the loss.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from voicetune.data.codes import FRAMES_PER_SECOND, Codes
from voicetune.xtts.batch import Batch
from voicetune.xtts.gpt import TrainingLoss
from voicetune.xtts.gpt_rows import FRAMES_PER_CODE, LATENTS

HEAD = 0
MARKS = ".,?!'-:;"
_SHORTEST = 0.05  # audio codes; no token counts as shorter

Spans = dict[bytes, tuple[Tensor, Tensor]]
"""Keys are the text tokens of a clip (int64) as bytes. Values are the begin and end of each token, in audio codes."""


def spans(codes: Codes, words_file: Path, space: int, vocabulary: int) -> Spans:
    """Find when each text token of each training clip is spoken.

    words_file: JSON, for each clip id a list of words, each with its place in the text and its first second.
    """
    words = json.loads(words_file.read_text())
    groups = {}
    for i in codes.training:
        clip, tokens = codes.clips[i], codes.tokens(i).astype(np.int64)
        if clip.id not in words:
            continue
        stretch, starts = word_starts(clip.text, words[clip.id])
        of_token = np.maximum(np.cumsum(tokens == space) - (tokens == space), 0)
        if len(stretch) == of_token[-1] + 1:  # otherwise the tokenizer's cleaners changed the number of words
            edges = np.array([*starts, codes.codes(i).size / FRAMES_PER_SECOND * FRAMES_PER_CODE])
            edges = np.maximum.accumulate(edges * FRAMES_PER_SECOND / FRAMES_PER_CODE)
            groups[tokens.tobytes()] = (tokens, stretch[of_token], edges, clip.text[-1] in MARKS)
    lasting = token_lengths(groups.values(), vocabulary)
    return {key: _spread(*group, lasting) for key, group in groups.items()}


def word_starts(text: str, words: list[list[float]]) -> tuple[np.ndarray, list[float]]:
    """Find the stretch of sound that each word of a text belongs to, (words,), and the second at which each begins.

    Words are separated by spaces. A stretch can have several, because espeak-ng reads pairs such as "of the" as one.
    """
    bounds = np.cumsum([len(word) + 1 for word in text.split(" ")])
    begins = {int(np.searchsorted(bounds, place, side="right")): max(0.0, second) for place, second in reversed(words)}
    begins[0] = 0.0
    heard = np.array([word in begins for word in range(len(bounds))])
    return np.cumsum(heard) - 1, [begins[word] for word in sorted(begins)]


def token_lengths(groups, vocabulary: int) -> np.ndarray:
    """Estimate how many audio codes each text token lasts, (vocabulary,).

    It is a ridge regression of the stretches' lengths on the counts of the tokens in them. The last stretch of each
    clip is left out.
    """
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
    """Begin and end of each token, (t,) each. Tokens fill their stretch without gaps. marked: the last is a mark."""
    lengths = np.maximum(lasting[tokens], _SHORTEST)
    lengths[0] = _SHORTEST  # the language's tag
    if marked:
        lengths[-1] = _SHORTEST  # the silence after it was trimmed
    per_stretch = np.bincount(of_token, lengths)
    lengths = lengths * (np.diff(edges) / per_stretch)[of_token]
    ends = np.cumsum(lengths)
    return torch.from_numpy(ends - lengths).float(), torch.from_numpy(ends).float()


class GuidedLoss(TrainingLoss):
    """TrainingLoss that in training adds the guidance to every audio token's cross entropy.

    weight: of the guidance, in nats per audio token. sigma: how far from the spoken token the attention may lie, in
    audio codes. The guidance acts on the first head of every layer except the first and the last layer.
    """

    def __init__(self, gpt, weight: float, sigma: float, heard: Spans):
        super().__init__(gpt)
        self.weight, self.sigma, self.heard = weight, sigma, heard
        self._band: Tensor | None = None
        self._asked: Tensor | None = None
        self._found: list[Tensor] = []
        self.guidance = 0.0  # of the last batch, without `weight`: minus the log of the attention on the alignment
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
        """Collect minus the log of the attention that lies on the alignment. weights: (b, heads, s, s)."""
        if self._band is None:
            return
        seen = (weights[:, HEAD].float() * self._band).sum(2)[self._asked]
        self._found.append(-torch.log(seen + 1e-3).mean())


def diagonal(batch: Batch, heard: Spans, sigma: float) -> Tensor:
    """Compute how well each pair of places fits the alignment: (b, s, s), 0 to 1, query first, then key."""
    clips, width = batch.row_index.shape
    band = torch.zeros(clips, width, width)
    mel = torch.bincount(batch.mel_clips, minlength=clips)  # audio tokens of each clip, one STOP included
    for i in range(clips):
        first = int(batch.mel_places[batch.mel_clips == i].min()) - i * width
        tokens = batch.text[i, 1 : first - LATENTS - 1]  # without START and STOP
        if (span := heard.get(tokens.numpy().tobytes())) is None:
            continue
        moment = (torch.arange(int(mel[i])) + 0.5)[:, None]
        pace = (int(mel[i]) - 1) / float(span[1][-1])  # another voice takes another time for the same text
        off = torch.relu(torch.maximum(span[0] * pace - moment, moment - span[1] * pace))
        near = torch.exp(-(off**2) / (2 * sigma**2))
        band[i, first : first + len(near), LATENTS + 1 : LATENTS + 1 + near.shape[1]] = near
    return band
