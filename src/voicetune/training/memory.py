"""Training in less memory: low-rank adapters, an 8-bit optimizer. (The model itself recomputes activations.)

Each works alone or together with the others. The published model has the same keys in every case.
"""

from typing import Any

import torch
from torch import Tensor, nn

from voicetune.errors import UserError
from voicetune.model import Loss


def add_lora(loss: Loss, rank: int, alpha: float, seed: int) -> None:
    """Freeze the network, and add a trained term alpha / rank * B A to each matrix W that `loss.adapted` names.

    A (rank, inputs) is drawn from `seed` alone. B (outputs, rank) starts at zero, so that the model does not
    change at first. Call it once for each network, before the optimizer is made.

    Source: LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685), by peft.
    """
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds, and only this needs it

    gain: dict[str, Any] = {"lora_alpha": alpha}  # peft's annotation says int, and it takes a float
    config = LoraConfig(r=rank, **gain, **loss.adapted)
    with torch.random.fork_rng(devices=[]):  # peft draws on the CPU
        torch.manual_seed(seed)
        inject_adapter_in_model(config, loss.network)
    for name, parameter in loss.network.named_parameters():
        parameter.requires_grad_(".lora_" in name)


def has_adapters(network: nn.Module) -> bool:
    return any(hasattr(part, "base_layer") for part in network.modules())


def whole_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the state under the network's own keys, with W + alpha / rank * B A for each adapted W.

    The tensors are copies on the model's device. Without adapters, this is `network.state_dict()` itself. The network
    does not change.
    """
    layers: dict[str, Any] = {name: part for name, part in network.named_modules() if hasattr(part, "base_layer")}
    if not layers:
        return network.state_dict()
    with torch.no_grad():
        merged = {
            f"{n}.weight": part.base_layer.weight + part.get_delta_weight("default") for n, part in layers.items()
        }
    stock = {name.replace(".base_layer.", "."): v for name, v in network.state_dict().items() if ".lora_" not in name}
    return {name: merged[name] if name in merged else value.clone() for name, value in stock.items()}


def trained_state(network: nn.Module) -> dict[str, Tensor]:
    """Return `network.state_dict()` without frozen parameters: with adapters, only these; otherwise everything."""
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in network.state_dict().items() if name not in frozen}


def load_trained_state(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Load a state from `trained_state`; frozen parameters stay as they are.

    Raises:
        UserError: the state's keys or sizes differ from those of `trained_state(network)`; nothing is loaded.
    """
    sizes = {name: value.shape for name, value in trained_state(network).items()}
    given = {name: value.shape for name, value in state.items()}
    if strange := sorted(name for name in sizes.keys() | given.keys() if sizes.get(name) != given.get(name)):
        raise UserError(
            f"{len(strange)} weights of the saved state do not fit the model, for example {strange[0]};"
            " set lora_rank to the value that the state was saved with, or remove the state."
        )
    network.load_state_dict(state, strict=False)


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
            f"optimizer: adamw8bit does not run on {device} ({reason}); run `pip install -c"
            " requirements.lock bitsandbytes` (0.50 or later without a GPU), use a GPU, or set optimizer: adamw."
        ) from None
    return AdamW8bit(groups, lr=lr, betas=betas, eps=eps)
