"""Text to audio codes: the GPT decoding many lines at once, with a key-value cache.

Does what `TTS.tts.layers.xtts.gpt.GPT.generate` does for one line, and for greedy decoding gives the
same codes.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import DynamicCache
from TTS.tts.layers.xtts.gpt import GPT

from voicetune.params import Decoding

_PLACEHOLDER = 1  # the stock generator's stand-in for the prefix, which its repetition penalty counts


@torch.inference_mode()
def decode(
    gpt: GPT, latents: Tensor, texts: list[Tensor], settings: Decoding, seed: int, limit: int | None = None
) -> list[Tensor]:
    """Decode a batch of lines.

    Args:
        latents: (lines, 32, width) or (1, 32, width), conditioning latents.
        texts: text tokens of each line with the language tag, without START and STOP: (t,) integers.
        settings: sampling; temperature 0 is greedy.
        seed: line i draws from a generator seeded by (seed, i), whatever else is in the batch.
        limit: most codes a line, at most the model's 602.

    Returns:
        codes of each line without STOP: (codes,) int64. A line that never stopped has `limit` of them.
    """
    device = latents.device
    limit = min(limit or gpt.max_gen_mel_tokens, gpt.max_gen_mel_tokens)
    embedded, mask = _prefix(gpt, latents, texts)
    draws = [torch.Generator(device).manual_seed(seed * 1_000_003 + i) for i in range(len(texts))]
    seen = torch.zeros(len(texts), gpt.num_audio_tokens, dtype=torch.bool, device=device)
    seen[:, [_PLACEHOLDER, gpt.start_audio_token]] = True
    done = torch.zeros(len(texts), dtype=torch.bool, device=device)
    cache, out = DynamicCache(), []
    for step in range(limit):
        result = gpt.gpt(inputs_embeds=embedded, attention_mask=mask, past_key_values=cache, use_cache=True)
        logits = gpt.mel_head(gpt.final_norm(result.last_hidden_state[:, -1])).float()
        chosen = _choose(logits, seen, settings, draws)
        chosen = torch.where(done, gpt.stop_audio_token, chosen)
        done |= chosen == gpt.stop_audio_token
        out.append(chosen)
        if bool(done.all()):
            break
        seen.scatter_(1, chosen[:, None], True)
        place = torch.tensor(step + 1, device=device)
        embedded = (gpt.mel_embedding(chosen) + gpt.mel_pos_embedding.emb(place))[:, None]
        mask = F.pad(mask, (0, 1), value=1)
    codes = torch.stack(out, 1)
    return [row[row != gpt.stop_audio_token].clone() for row in codes]


def _prefix(gpt: GPT, latents: Tensor, texts: list[Tensor]) -> tuple[Tensor, Tensor]:
    """[latents | START text STOP | START], padded on the left; embeddings and attention mask."""
    rows = []
    for i, text in enumerate(texts):
        ids = F.pad(
            F.pad(text.to(latents.device).long(), (1, 0), value=gpt.start_text_token), (0, 1), value=gpt.stop_text_token
        )[None]
        start = torch.full((1, 1), gpt.start_audio_token, device=latents.device)
        rows.append(
            torch.cat(
                [
                    latents[min(i, len(latents) - 1)],
                    (gpt.text_embedding(ids) + gpt.text_pos_embedding(ids))[0],
                    (gpt.mel_embedding(start) + gpt.mel_pos_embedding(start))[0],
                ]
            )
        )
    width = max(len(row) for row in rows)
    embedded = torch.stack([F.pad(row, (0, 0, width - len(row), 0)) for row in rows])
    mask = torch.stack([(torch.arange(width, device=latents.device) >= width - len(row)).long() for row in rows])
    return embedded, mask


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
