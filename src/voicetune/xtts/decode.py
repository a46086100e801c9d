"""Text to audio codes: the GPT decodes many lines at once, with a key-value cache.

`TTS.tts.layers.xtts.gpt.GPT.generate` does the same for one line. Greedy decoding gives the same codes as it does.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.cache_utils import DynamicCache
from transformers.models.gpt2.modeling_gpt2 import GPT2Block
from transformers.pytorch_utils import Conv1D
from TTS.tts.layers.xtts.gpt import GPT

from voicetune.params.decoding import Decoding

_PLACEHOLDER = 1  # token id that the stock generator puts in the prefix's places; its repetition penalty counts it
_ROWS = 8  # lines in a group. They bound the memory: at XTTS v2's size, eight lines of 28 s need a cache of 2 GB
_STEP = 32  # prefixes and the cache are padded to a multiple of this


@torch.inference_mode()
def decode(
    gpt: GPT,
    latents: Tensor,
    texts: Sequence[Tensor],
    settings: Decoding,
    seeds: Sequence[int],
    limit: int | None = None,
) -> list[Tensor]:
    """Decode lines in groups of eight.

    A line's codes do not depend on the other lines. Floating-point sums depend on the shapes of the tensors. So every
    group has the same number of rows, and a row is padded to a length that depends on that row alone. Then no bit of a
    row depends on the content of the others.

    Args:
        latents: (lines, 32, width) or (1, 32, width), conditioning latents.
        texts: text tokens of each line with the language tag, without START and STOP: (t,) integers.
        settings: sampling; temperature 0 is greedy.
        seeds: one for each line's own random generator.
        limit: the most codes of a line, at most the model's 602.

    Returns:
        codes of each line without STOP: (codes,) int64. A line that never stopped has `limit` codes.
    """
    limit = min(limit or gpt.max_gen_mel_tokens, gpt.max_gen_mel_tokens)
    widths = [_width(latents, text) for text in texts]
    found: dict[int, Tensor] = {}
    for width in sorted(set(widths)):
        alike = sorted((i for i in range(len(texts)) if widths[i] == width), key=lambda i: len(texts[i]))
        for start in range(0, len(alike), _ROWS):
            group = alike[start : start + _ROWS]
            rows = (group * _ROWS)[:_ROWS]  # a short group repeats its own lines; the repeats' codes are dropped
            embedded, mask = _prefix(gpt, latents, [(i, texts[i]) for i in rows], width)
            draws = [torch.Generator(latents.device).manual_seed(seeds[i]) for i in group]
            codes = torch.stack([one for one, _ in _draw(gpt, embedded, mask, settings, draws, limit)], 1)
            found |= {i: row[row != gpt.stop_audio_token].clone() for i, row in zip(group, codes, strict=True)}
    return [found[i] for i in range(len(texts))]


@torch.inference_mode()
def decode_live(gpt: GPT, latents: Tensor, text: Tensor, settings: Decoding, seed: int) -> Iterator[Tensor]:
    """Decode one line, and yield the GPT's latent of each code, (width,), as soon as it is drawn. The last is STOP's.

    The codes are those of `decode`, whose arguments these are. HiFi-GAN makes sound of the latents.
    """
    width = _width(latents, text)
    embedded, mask = _prefix(gpt, latents, [(0, text)] * _ROWS, width)
    draws = [torch.Generator(latents.device).manual_seed(seed)]
    for _, latent in _draw(gpt, embedded, mask, settings, draws, gpt.max_gen_mel_tokens):
        yield latent[0]


def _width(latents: Tensor, text: Tensor) -> int:
    """The width of a line's padded prefix: latents, two STARTs, the text and a STOP."""
    return -(-(latents.shape[1] + len(text) + 3) // _STEP) * _STEP


def _draw(
    gpt: GPT, embedded: Tensor, mask: Tensor, settings: Decoding, draws: list[torch.Generator], limit: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Decode the first len(draws) rows step by step, until all of them end.

    Args:
        embedded: (rows, width, channels), prefixes padded on the left.
        mask: (rows, width) bool, false on the padding.

    Yields:
        a step's codes, (len(draws),) int64, STOP after the end of a row; and the latents that they were drawn from,
        (len(draws), channels).
    """
    real, width = len(draws), mask.shape[1]
    seen = torch.zeros(real, gpt.num_audio_tokens, dtype=torch.bool, device=mask.device)
    seen[:, [_PLACEHOLDER, gpt.start_audio_token]] = True
    done = torch.zeros(real, dtype=torch.bool, device=mask.device)
    hidden, kept = _read(gpt, embedded, mask, real)
    layers = [_Layer(block) for block in gpt.gpt.h]
    attended = _additive(mask[:, None, None, :], embedded.dtype)
    for step in range(limit):
        latents = gpt.final_norm(hidden)
        logits = gpt.mel_head(latents)[:real].float()
        chosen = torch.where(done, gpt.stop_audio_token, _choose(logits, seen, settings, draws))
        done |= chosen == gpt.stop_audio_token
        yield chosen, latents[:real]
        if bool(done.all()):
            break
        seen.scatter_(1, chosen[:, None], True)
        if step % _STEP == 0:
            attended = F.pad(attended, (0, _STEP), value=torch.finfo(attended.dtype).min)
        attended[..., width + step] = 0
        fed = F.pad(chosen, (0, len(mask) - real), value=gpt.stop_audio_token)
        place = torch.tensor(step + 1, device=mask.device)
        x = gpt.mel_embedding(fed) + gpt.mel_pos_embedding.emb(place)
        for layer, memory in zip(layers, kept, strict=True):
            x = layer.step(x, attended, memory)
        hidden = gpt.gpt.ln_f(x)


def _read(gpt: GPT, embedded: Tensor, mask: Tensor, real: int) -> tuple[Tensor, list["_Kept"]]:
    """Read the prefixes: the hidden states after them, (rows, channels), and each layer's keys and values.

    Each row is read alone. Rows after the first `real` ones repeat those, and are not read again.
    """
    hidden, caches = [], [DynamicCache() for _ in range(real)]
    with _quick(gpt):
        for i, cache in enumerate(caches):
            attended = _additive(_causal(mask[i : i + 1]), embedded.dtype)
            result = gpt.gpt(
                inputs_embeds=embedded[i : i + 1], attention_mask=attended, past_key_values=cache, use_cache=True
            )
            hidden.append(result.last_hidden_state[:, -1])
    rows = [i % real for i in range(len(mask))]
    every: list[list[Any]] = [[caches[i].layers[layer] for i in rows] for layer in range(len(gpt.gpt.h))]
    kept = [_Kept(torch.cat([one.keys for one in same]), torch.cat([one.values for one in same])) for same in every]
    return torch.cat([hidden[i] for i in rows]), kept


class _Kept:
    """A layer's keys and values, (rows, heads, places, size), in memory that grows by 32 places at a time.

    So they are not copied at every step, and the matrix products have few different shapes. Places not yet used are
    masked.
    """

    def __init__(self, keys: Tensor, values: Tensor):
        self.keys, self.values, self.used = keys, values, keys.shape[2]

    def add(self, key: Tensor, value: Tensor) -> None:
        """Append the key and the value of one place, (rows, heads, 1, size)."""
        if self.used == self.keys.shape[2]:
            self.keys, self.values = F.pad(self.keys, (0, 0, 0, _STEP)), F.pad(self.values, (0, 0, 0, _STEP))
        self.keys[:, :, self.used] = key[:, :, 0]
        self.values[:, :, self.used] = value[:, :, 0]
        self.used += 1


class _Layer:
    """A layer of the GPT that reads one more token of each row.

    These are the operations of transformers' GPT2Block in the same order, so every bit is the same. For single tokens,
    the time that transformers spends between the operations counts (bench/faster.md).
    """

    def __init__(self, block: GPT2Block):
        attention, mlp = block.attn, block.mlp
        self._heads, self._scaling = (3, attention.num_heads, 1, attention.head_dim), attention.scaling
        self._ask, self._answer = _function(attention.c_attn), _function(attention.c_proj)
        self._widen, self._narrow = _function(mlp.c_fc), _function(mlp.c_proj)
        self._norm, self._norm_again = _function(block.ln_1), _function(block.ln_2)

    def step(self, x: Tensor, mask: Tensor, kept: _Kept) -> Tensor:
        """Read embedded tokens (rows, channels), and return the same shape. mask: (rows, 1, 1, places), to be added."""
        rows = len(x)
        query, key, value = self._ask(self._norm(x)).view(rows, *self._heads).unbind(1)
        kept.add(key, value)
        scores = torch.matmul(query, kept.keys.mT).mul_(self._scaling).add_(mask)
        heard = torch.matmul(scores.softmax(-1), kept.values)
        x = self._answer(heard.view(rows, -1)) + x
        return self._narrow(F.gelu(self._widen(self._norm_again(x)), approximate="tanh")) + x


def _function(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """What a module computes, without the time for calling it. A module with an adapter is called as it is."""
    if type(module) is Conv1D:
        return partial(torch.addmm, module.bias, mat2=module.weight)
    if type(module) is nn.LayerNorm:
        shape, eps = list(module.normalized_shape), module.eps
        return partial(torch.layer_norm, normalized_shape=shape, weight=module.weight, bias=module.bias, eps=eps)
    return module


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn `mask` into the term that is added to the attention scores: 0 where true, the lowest number elsewhere."""
    lowest = torch.finfo(dtype).min
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, lowest)


@contextmanager
def _quick(gpt: GPT) -> Iterator[None]:
    """Let the GPT compute the same function with operations that are faster on a CPU.

    Attention uses transformers' plain matrix products. torch's fused kernel is slower here, and with several threads it
    does not always sum a row in the same order. GELU is one call instead of eight.
    """
    attention, activations = gpt.gpt.config._attn_implementation, [block.mlp.act for block in gpt.gpt.h]
    gpt.gpt.set_attn_implementation("eager")
    for block in gpt.gpt.h:
        block.mlp.act = torch.nn.GELU(approximate="tanh")
    try:
        yield
    finally:
        gpt.gpt.set_attn_implementation(attention)
        for block, activation in zip(gpt.gpt.h, activations, strict=True):
            block.mlp.act = activation


def _prefix(gpt: GPT, latents: Tensor, texts: list[tuple[int, Tensor]], width: int) -> tuple[Tensor, Tensor]:
    """Embed [latents | START text STOP | START], padded on the left to `width`; the mask is false on the padding.

    Each row is embedded by itself, so that it does not depend on the others.
    """
    rows = []
    start = torch.full((1, 1), gpt.start_audio_token, device=latents.device)
    begun = (gpt.mel_embedding(start) + gpt.mel_pos_embedding(start))[0]
    for i, text in texts:
        ids = F.pad(text.to(latents.device).long(), (1, 0), value=gpt.start_text_token)
        ids = F.pad(ids, (0, 1), value=gpt.stop_text_token)[None]
        words = (gpt.text_embedding(ids) + gpt.text_pos_embedding(ids))[0]
        rows.append(torch.cat([latents[min(i, len(latents) - 1)], words, begun]))
    embedded = torch.stack([F.pad(row, (0, 0, width - len(row), 0)) for row in rows])
    mask = torch.stack([torch.arange(width, device=latents.device) >= width - len(row) for row in rows])
    return embedded, mask


def _causal(mask: Tensor) -> Tensor:
    """The causal mask of the prefixes: (rows, width) -> (rows, 1, width, width) bool.

    Each padding place attends to itself, so that every place has one to attend to.
    """
    width = mask.shape[1]
    before = torch.ones(width, width, dtype=torch.bool, device=mask.device).tril()
    itself = torch.eye(width, dtype=torch.bool, device=mask.device)
    return ((mask[:, None, :] & before) | itself)[:, None]


def _choose(logits: Tensor, seen: Tensor, settings: Decoding, draws: list[torch.Generator]) -> Tensor:
    """Choose one code for each row. The filters have the same order as in transformers' generate."""
    penalty = settings.repetition_penalty
    logits = torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)
    if settings.temperature == 0:
        return logits.argmax(1)
    logits = logits / settings.temperature
    if 0 < settings.top_k < logits.shape[1]:
        logits = logits.masked_fill(logits < logits.topk(settings.top_k).values[:, -1:], -torch.inf)
    if settings.top_p < 1:
        ordered, places = logits.sort(descending=True)
        shares = ordered.softmax(1)
        unlikely = shares.cumsum(1) - shares >= settings.top_p
        logits = logits.masked_fill(torch.empty_like(unlikely).scatter_(1, places, unlikely), -torch.inf)
    probabilities = logits.softmax(1)
    waits = torch.empty_like(probabilities)  # the row's smallest wait over probability is `torch.multinomial`'s draw
    for row, generator in zip(waits, draws, strict=True):
        row.exponential_(generator=generator)
    return (probabilities / waits).argmax(1)
