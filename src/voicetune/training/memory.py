"""Training in less memory: low-rank adapters, activation checkpointing, an 8-bit optimizer.

Each works alone and with the others; the model that is published has the stock keys either way.
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

_ADAPTED = ["c_attn", "c_proj", "c_fc"]  # of a GPT-2 block: queries, keys and values; both outputs; the MLP's input


def add_lora(gpt: GPT, rank: int, alpha: float, seed: int) -> None:
    """Freeze the GPT, and give each matrix W of its blocks a trained addition alpha / rank * B A.

    A (rank, inputs) is drawn from `seed` alone; B (outputs, rank) starts at zero, so that the model
    is at first what it was. Once for each GPT, before the optimizer is made.

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
    """The state by the stock GPT's keys, W + alpha / rank * B A for each adapted W.

    Copies, on the model's device; without adapters it is `gpt.state_dict()` itself. The model goes on as it was.
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
    """`gpt.state_dict()` without the frozen parameters: with adapters, these alone; else all of it."""
    frozen = {name for name, parameter in gpt.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in gpt.state_dict().items() if name not in frozen}


def load_trained_state(gpt: GPT, state: dict[str, Tensor]) -> None:
    """Load what `trained_state` gave; frozen parameters stay.

    Raises:
        UserError: the state has other keys than `trained_state(gpt)`, or other sizes; nothing is loaded.
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
    """Keep only each block's input in training, and compute the rest again in the backward pass.

    Loss, gradients and dropout stay the same; nothing changes in eval mode or in the state.

    Source: sublinear memory cost (Chen et al. 2016, https://arxiv.org/abs/1604.06174).
    """
    # Not by gradient_checkpointing_enable: it asks for token embeddings, which the stock GPT removes from its GPT-2.
    again = partial(checkpoint, use_reentrant=False, context_fn=partial(_contexts, gpt.gpt.config))
    for block in gpt.gpt.h:
        block.gradient_checkpointing, block._gradient_checkpointing_func = True, again


def _contexts(config) -> tuple[AbstractContextManager, AbstractContextManager]:
    """Of the forward pass and its repetition: attention must be the same, and is set for one forward pass only."""
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
    """AdamW with moments of 8 bits, in blocks of 256; in fp32 for parameters of fewer than 4,096 values.

    Source: 8-bit optimizers (Dettmers et al. 2022, https://arxiv.org/abs/2110.02861), by bitsandbytes.

    Args:
        device: where the parameters are when they are trained; the optimizer is tried there.

    Raises:
        UserError: bitsandbytes is missing, or does not run on that device.
    """
    try:
        from bitsandbytes.optim import AdamW8bit

        probe = nn.Parameter(torch.zeros(4096, device=device))
        probe.grad = torch.ones_like(probe)
        AdamW8bit([probe], lr=lr).step()
    except Exception as error:  # besides ImportError, whatever its compiled library raises, by version and device
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"optimizer: adamw8bit does not run on {device} ({reason}); run `pip install bitsandbytes`"
            " (0.50 or later without a GPU), use a GPU, or set optimizer: adamw."
        ) from None
    return AdamW8bit(groups, lr=lr, betas=betas, eps=eps)
