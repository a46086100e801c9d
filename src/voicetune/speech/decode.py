"""Text to audio codes: the GPT decoding many lines at once, with a key-value cache.

Does what `TTS.tts.layers.xtts.gpt.GPT.generate` does for one line, and for greedy decoding gives the
same codes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.cache_utils import Cache, DynamicLayer
from TTS.tts.layers.xtts.gpt import GPT

from voicetune.params.decoding import Decoding

_PLACEHOLDER = 1  # the stock generator's stand-in for the prefix, which its repetition penalty counts
_ROWS = 8  # bounds the memory: at XTTS v2's size, a cache of 2 GB for eight lines of 28 s
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

    What a line's codes are does not depend on the other lines. Sums in floating point depend on the shape of
    what is computed, so every group has the same number of rows, and a row is padded to a length that follows
    from itself alone; what stands in the other rows then changes no bit of it.

    Args:
        latents: (lines, 32, width) or (1, 32, width), conditioning latents.
        texts: text tokens of each line with the language tag, without START and STOP: (t,) integers.
        settings: sampling; temperature 0 is greedy.
        seeds: of each line's own generator.
        limit: most codes a line, at most the model's 602.

    Returns:
        codes of each line without STOP: (codes,) int64. A line that never stopped has `limit` of them.
    """
    limit = min(limit or gpt.max_gen_mel_tokens, gpt.max_gen_mel_tokens)
    widths = [-(-(latents.shape[1] + len(text) + 3) // _STEP) * _STEP for text in texts]  # two STARTs and a STOP
    found: dict[int, Tensor] = {}
    for width in sorted(set(widths)):
        alike = sorted((i for i in range(len(texts)) if widths[i] == width), key=lambda i: len(texts[i]))
        for start in range(0, len(alike), _ROWS):
            group = alike[start : start + _ROWS]
            rows = (group * _ROWS)[:_ROWS]  # a short group is filled up with its own lines, which then do not count
            embedded, mask = _prefix(gpt, latents, [(i, texts[i]) for i in rows], width)
            draws = [torch.Generator(latents.device).manual_seed(seeds[i]) for i in group]
            with _quick(gpt):
                codes = _decode_group(gpt, embedded, mask, settings, draws, limit)
            found |= {i: row[row != gpt.stop_audio_token].clone() for i, row in zip(group, codes, strict=True)}
    return [found[i] for i in range(len(texts))]


def _decode_group(
    gpt: GPT, embedded: Tensor, mask: Tensor, settings: Decoding, draws: list[torch.Generator], limit: int
) -> Tensor:
    """Codes of the first len(draws) rows, (len(draws), steps) int64, STOP after the end of each.

    Args:
        embedded: (rows, width, channels), prefixes padded on the left.
        mask: (rows, width) bool, where they are no padding.
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
    """What is added to the attention's weights: 0 where `mask` is true, and the lowest number elsewhere."""
    lowest = torch.finfo(dtype).min
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, lowest)


@contextmanager
def _quick(gpt: GPT) -> Iterator[None]:
    """The same function from operations that take less time for single places on a CPU.

    Attention by transformers' own products: torch's fused kernel is slower here, and on several threads it does not
    always sum a row in one order. GELU in one call instead of eight.
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
    """A layer's keys and values, in memory that grows by 32 places at a time: what is not yet used is masked.

    Not to copy all of it at every step; and so that what is multiplied has few shapes.
    """

    used = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Put keys and values (rows, heads, new, size) behind the others; all of them, (rows, heads, places, size)."""
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
    """[latents | START text STOP | START], padded on the left to `width`; embeddings and where they are no padding.

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
    """What each place of a prefix attends to: (rows, width) -> (rows, 1, width, width) bool.

    Padding attends to itself, as a place without any would have no weights.
    """
    width = mask.shape[1]
    before = torch.ones(width, width, dtype=torch.bool, device=mask.device).tril()
    itself = torch.eye(width, dtype=torch.bool, device=mask.device)
    return ((mask[:, None, :] & before) | itself)[:, None]


def _choose(logits: Tensor, seen: Tensor, settings: Decoding, draws: list[torch.Generator]) -> Tensor:
    """One code for each row. Order of the filters as in transformers' generate."""
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
