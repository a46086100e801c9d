"""The training loss of XTTS's GPT, on the stock module's own submodules.

The stock `GPT.forward` pads text and codes separately and masks the padding. Its transformer adds no position
embeddings (learned ones are added to its input), so a row can be packed instead:

    [ conditioning latents | START text (STOP) | START codes STOP... | padding ]

The padding comes last, so with causal attention no token attends to it, and no mask is needed. Cross entropy is in nats
per token, over all tokens of the batch.
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface
from TTS.tts.layers.xtts.gpt import GPT

from voicetune.data.codes import Codes
from voicetune.model import Loss, Recipe
from voicetune.xtts import gpt_rows
from voicetune.xtts.batch import Batch, Tokens

_CAUSAL = "voicetune_causal"


class TrainingLoss(Loss):
    """Per-token cross entropies of a stock GPT, for training and for measuring.

    Source: `TTS/tts/layers/xtts/gpt.py`, `GPT.forward`; XTTS (Casanova et al. 2024,
    https://arxiv.org/abs/2406.04904).
    """

    def __init__(self, gpt: GPT):
        super().__init__(gpt)
        for block in gpt.gpt.h:  # the same function as GPT-2's own, in one kernel instead of eight
            block.mlp.act = nn.GELU(approximate="tanh")

    @property
    def blocks(self) -> Sequence[nn.Module]:
        return self.network.gpt.h

    @property
    def mel_head(self) -> nn.Module:
        return self.network.mel_head

    @property
    def adapted(self) -> dict[str, Any]:
        """In a GPT-2 block: queries, keys and values; both output projections; the MLP's input."""
        return {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True}

    def set_dropout(self, probability: float) -> None:
        set_dropout(self.network, probability)

    def recompute_activations(self) -> None:
        """In training, keep only each block's input and recompute the other activations in the backward pass.

        Loss, gradients and dropout stay the same; nothing changes in eval mode or in the state.

        Source: sublinear memory cost (Chen et al. 2016, https://arxiv.org/abs/1604.06174).
        """
        # gradient_checkpointing_enable() would need token embeddings, which the stock GPT removes from its GPT-2.
        again = partial(checkpoint, use_reentrant=False, context_fn=partial(_contexts, self.network.gpt.config))
        for block in self.network.gpt.h:
            block.gradient_checkpointing, block._gradient_checkpointing_func = True, again

    def draw(self, codes: Codes, clips: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> gpt_rows.Drawn:
        return gpt_rows.draw(codes, clips, recipe, rng)

    def batch(self, codes: Codes, drawn: Any, recipe: Recipe) -> Batch:
        return gpt_rows.assemble(codes, drawn, recipe, Tokens.of(self.network))

    def latents(self, batch: Batch) -> Tensor:
        """Returns each clip's conditioning latents: (b, 32, width)."""
        # with [...] instead, a CPU would sum the gradients of rows that share a reference in an order that varies
        return self.network.get_style_emb(batch.references).transpose(1, 2).index_select(0, batch.reference_of)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns text CE (n_text,) and mel CE (n_mel,) in nats, one for each target token."""
        gpt = self.network
        latents = self.latents(batch)
        text = gpt.text_embedding(batch.text) + gpt.text_pos_embedding(batch.text)
        codes = gpt.mel_embedding(batch.codes) + gpt.mel_pos_embedding(batch.codes)
        segments = torch.cat([latents, text.to(latents.dtype), codes.to(latents.dtype)], dim=1)
        index = batch.row_index[:, :, None].expand(-1, -1, segments.shape[2])
        with _attention_of(gpt):
            hidden = gpt.gpt(inputs_embeds=segments.gather(1, index), use_cache=False).last_hidden_state
        hidden = hidden.reshape(-1, hidden.shape[2])
        text_logits = gpt.text_head(gpt.final_norm(hidden[batch.text_places]))
        mel_logits = gpt.mel_head(gpt.final_norm(hidden[batch.mel_places]))
        return (
            F.cross_entropy(text_logits.float(), batch.text_targets, reduction="none"),
            F.cross_entropy(mel_logits.float(), batch.mel_targets, reduction="none"),
        )


@contextmanager
def _attention_of(gpt: GPT) -> Iterator[None]:
    """On a CPU, compute attention with plain matrix products during one forward pass.

    At these lengths, torch's fused CPU kernel takes three times as long, forward and backward.
    """
    config = gpt.gpt.config
    with _attention(config, _CAUSAL if gpt.mel_head.weight.device.type == "cpu" else config._attn_implementation):
        yield


def _contexts(config) -> tuple[AbstractContextManager, AbstractContextManager]:
    """Return contexts for the forward pass and its recomputation. Both must use the same attention.

    `TrainingLoss` sets the attention for its forward pass only, so the recomputation has to set it again.
    """
    return nullcontext(), _attention(config, config._attn_implementation)


@contextmanager
def _attention(config, name: str) -> Iterator[None]:
    before, config._attn_implementation = config._attn_implementation, name
    try:
        yield
    finally:
        config._attn_implementation = before


def _causal_attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **_):
    """Attention (Vaswani et al. 2017) over whole rows: (b, heads, s, d) each -> (b, s, heads, d)."""
    b, heads, s, d = query.shape
    above = _above_diagonal(s, query.dtype, query.device)
    scores = torch.baddbmm(above, query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2), alpha=scaling or d**-0.5)
    weights = scores.softmax(-1)
    if watch := getattr(module, "watch", None):  # a caller may set it to read the alignment of text and audio
        watch(weights.view(b, heads, s, s))
    if dropout:
        weights = F.dropout(weights, dropout, module.training)
    return torch.bmm(weights, value.flatten(0, 1)).view(b, heads, s, d).transpose(1, 2), None


@functools.lru_cache(maxsize=64)
def _above_diagonal(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(1, size, size): minus infinity where a position would attend to a later one, else 0."""
    return torch.full((1, size, size), -torch.inf, dtype=dtype, device=device).triu(1)


AttentionInterface.register(_CAUSAL, _causal_attention)


def set_dropout(gpt: GPT, probability: float) -> None:
    """Set the dropout of the inner GPT-2, which has 0.1 in three kinds of places.

    The dropout of the conditioning encoder's perceiver stays at the stock model's 0. So a reference gives the same
    conditioning latents at every call, both in training and when speaking.
    """
    for part in gpt.gpt.modules():
        if isinstance(part, nn.Dropout):
            part.p = probability
