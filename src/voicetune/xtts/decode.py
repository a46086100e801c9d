"""Text to audio codes: the GPT decodes many lines at once, with a key-value cache.

`TTS.tts.layers.xtts.gpt.GPT.generate` does the same for one line. Greedy decoding gives the same codes as it does.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.cache_utils import Cache, DynamicLayer
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
    widths = [-(-(latents.shape[1] + len(text) + 3) // _STEP) * _STEP for text in texts]  # two STARTs and a STOP
    found: dict[int, Tensor] = {}
    for width in sorted(set(widths)):
        alike = sorted((i for i in range(len(texts)) if widths[i] == width), key=lambda i: len(texts[i]))
        for start in range(0, len(alike), _ROWS):
            group = alike[start : start + _ROWS]
            rows = (group * _ROWS)[:_ROWS]  # a short group repeats its own lines; the repeats' codes are dropped
            embedded, mask = _prefix(gpt, latents, [(i, texts[i]) for i in rows], width)
            draws = [torch.Generator(latents.device).manual_seed(seeds[i]) for i in group]
            with _quick(gpt):
                codes = _decode_group(gpt, embedded, mask, settings, draws, limit)
            found |= {i: row[row != gpt.stop_audio_token].clone() for i, row in zip(group, codes, strict=True)}
    return [found[i] for i in range(len(texts))]


def _decode_group(
    gpt: GPT, embedded: Tensor, mask: Tensor, settings: Decoding, draws: list[torch.Generator], limit: int
) -> Tensor:
    """Decode the first len(draws) rows: (len(draws), steps) int64, filled up with STOP after the end of each row.

    Args:
        embedded: (rows, width, channels), prefixes padded on the left.
        mask: (rows, width) bool, false on the padding.
    """
    real, width = len(draws), mask.shape[1]
    seen = torch.zeros(real, gpt.num_audio_tokens, dtype=torch.bool, device=mask.device)
    seen[:, [_PLACEHOLDER, gpt.start_audio_token]] = True
    done = torch.zeros(real, dtype=torch.bool, device=mask.device)
    attended = _additive(_causal(mask), embedded.dtype)
    cache, out = Cache(layer_class_to_replicate=_Blocks), []
    for step in range(limit):
        result = gpt.gpt(inputs_embeds=embedded, attention_mask=attended, past_key_values=cache, use_cache=True)
        logits = gpt.mel_head(gpt.final_norm(result.last_hidden_state[:, -1]))[:real].float()
        chosen = torch.where(done, gpt.stop_audio_token, _choose(logits, seen, settings, draws))
        done |= chosen == gpt.stop_audio_token
        out.append(chosen)
        if bool(done.all()):
            break
        seen.scatter_(1, chosen[:, None], True)
        if step == 0:
            attended = _additive(mask[:, None, None, :], embedded.dtype)
        if step % _STEP == 0:
            attended = F.pad(attended, (0, _STEP), value=torch.finfo(attended.dtype).min)
        attended[..., width + step] = 0
        fed = F.pad(chosen, (0, len(mask) - real), value=gpt.stop_audio_token)
        place = torch.tensor(step + 1, device=mask.device)
        embedded = (gpt.mel_embedding(fed) + gpt.mel_pos_embedding.emb(place))[:, None]
    return torch.stack(out, 1)


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn `mask` into the term that is added to the attention scores: 0 where true, the lowest number elsewhere."""
    lowest = torch.finfo(dtype).min
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, lowest)


@contextmanager
def _quick(gpt: GPT) -> Iterator[None]:
    """Let the GPT compute the same function with operations that are faster for single tokens on a CPU.

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


class _Blocks(DynamicLayer):
    """A layer's keys and values, in memory that grows by 32 places at a time. Places not yet used are masked.

    So the cache is not copied at every step, and the matrix products have few different shapes.
    """

    used = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Append keys and values (rows, heads, new, size), and return all of them, (rows, heads, places, size)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        assert self.keys is not None
        assert self.values is not None
        end = self.used + key_states.shape[2]
        more = -(-end // _STEP) * _STEP - self.keys.shape[2]
        if more > 0:
            self.keys, self.values = F.pad(self.keys, (0, 0, 0, more)), F.pad(self.values, (0, 0, 0, more))
        self.keys[:, :, self.used : end] = key_states
        self.values[:, :, self.used : end] = value_states
        self.used = end
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return self.used


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
        before = ordered.softmax(1).cumsum(1) - ordered.softmax(1)
        logits = logits.masked_fill((before >= settings.top_p).gather(1, places.argsort(1)), -torch.inf)
    probabilities = logits.softmax(1)
    return torch.cat([torch.multinomial(p, 1, generator=g) for p, g in zip(probabilities, draws, strict=True)])
