"""Training in less memory: low-rank adapters, activation checkpointing, an 8-bit optimizer.

Each works alone or together with the others. The published model has the stock keys in every case.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from TTS.tts.layers.xtts.gpt import GPT

from voicetune.errors import UserError

# In a GPT-2 block: queries, keys and values; both output projections; the MLP's input.
_ADAPTED = ["c_attn", "c_proj", "c_fc"]


def add_lora(gpt: GPT, rank: int, alpha: float, seed: int) -> None:
    """Freeze the GPT, and add a trained term alpha / rank * B A to each matrix W of its blocks.

    A (rank, inputs) is drawn from `seed` alone. B (outputs, rank) starts at zero, so that the model does not
    change at first. Call it once for each GPT, before the optimizer is made.

    Source: LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685), by peft.
    """
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds, and only this needs it

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=_ADAPTED, fan_in_fan_out=True)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):  # peft draws on the CPU
        torch.manual_seed(seed)
        inject_adapter_in_model(config, gpt.gpt)
    for name, parameter in gpt.named_parameters():
        parameter.requires_grad_(".lora_" in name)


def has_adapters(gpt: GPT) -> bool:
    return any(hasattr(part, "base_layer") for part in gpt.modules())


def stock_state(gpt: GPT) -> dict[str, Tensor]:
    """Return the state under the stock GPT's keys, with W + alpha / rank * B A for each adapted W.

    The tensors are copies on the model's device. Without adapters, this is `gpt.state_dict()` itself. The model does
    not change.
    """
    layers: dict[str, Any] = {name: part for name, part in gpt.named_modules() if hasattr(part, "base_layer")}
    if not layers:
        return gpt.state_dict()
    with torch.no_grad():
        merged = {
            f"{n}.weight": part.base_layer.weight + part.get_delta_weight("default") for n, part in layers.items()
        }
    stock = {name.replace(".base_layer.", "."): v for name, v in gpt.state_dict().items() if ".lora_" not in name}
    return {name: merged[name] if name in merged else value.clone() for name, value in stock.items()}


def trained_state(gpt: GPT) -> dict[str, Tensor]:
    """Return `gpt.state_dict()` without frozen parameters: with adapters, only the adapters; otherwise everything."""
    frozen = {name for name, parameter in gpt.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in gpt.state_dict().items() if name not in frozen}


def load_trained_state(gpt: GPT, state: dict[str, Tensor]) -> None:
    """Load a state from `trained_state`; frozen parameters stay as they are.

    Raises:
        UserError: the state's keys or sizes differ from those of `trained_state(gpt)`; nothing is loaded.
    """
    sizes = {name: value.shape for name, value in trained_state(gpt).items()}
    given = {name: value.shape for name, value in state.items()}
    if strange := sorted(name for name in sizes.keys() | given.keys() if sizes.get(name) != given.get(name)):
        raise UserError(
            f"the saved state does not fit the model in {len(strange)} weights, {strange[0]} first;"
            " take the lora_rank that it was saved with, or remove it."
        )
    gpt.load_state_dict(state, strict=False)


def checkpoint_activations(gpt: GPT) -> None:
    """In training, keep only each block's input and recompute the other activations in the backward pass.

    Loss, gradients and dropout stay the same; nothing changes in eval mode or in the state.

    Source: sublinear memory cost (Chen et al. 2016, https://arxiv.org/abs/1604.06174).
    """
    # gradient_checkpointing_enable() would need token embeddings, which the stock GPT removes from its GPT-2.
    again = partial(checkpoint, use_reentrant=False, context_fn=partial(_contexts, gpt.gpt.config))
    for block in gpt.gpt.h:
        block.gradient_checkpointing, block._gradient_checkpointing_func = True, again


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


def adam8bit(
    groups: list[dict[str, Any]],
    lr: float,
    betas: tuple[float, float],
    eps: float,
    device: torch.device | str = "cpu",
) -> torch.optim.Optimizer:
    """AdamW with 8-bit moments in blocks of 256, and fp32 moments for parameters of fewer than 4,096 values.

    Source: 8-bit optimizers (Dettmers et al. 2022, https://arxiv.org/abs/2110.02861), by bitsandbytes.

    Args:
        device: where the parameters are in training; the optimizer is tried out there.

    Raises:
        UserError: bitsandbytes is missing, or does not run on that device.
    """
    try:
        from bitsandbytes.optim import AdamW8bit

        probe = nn.Parameter(torch.zeros(4096, device=device))
        probe.grad = torch.ones_like(probe)
        AdamW8bit([probe], lr=lr).step()
    except Exception as error:  # ImportError, or an error of its compiled library, which depends on version and device
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"optimizer: adamw8bit does not run on {device} ({reason}); run `pip install bitsandbytes`"
            " (0.50 or later without a GPU), use a GPU, or set optimizer: adamw."
        ) from None
    return AdamW8bit(groups, lr=lr, betas=betas, eps=eps)
