"""Collect weights and optimizer state from all devices into one state, and restore them from it.

On one device, and with DDP, each device holds everything. With FSDP each device holds a part. The parts are collected
on the CPU of the first rank, under the names that a single device would use.
"""

from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.strategies import ModelParallelStrategy
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from voicetune.model import Loss
from voicetune.training.checkpoint import State
from voicetune.training.memory import has_adapters, trained_state, whole_state

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def load(state: State, fabric: Fabric) -> dict[str, Any] | None:
    """Load the newest intact state, the same on every rank. All ranks must be able to read the state folder."""
    step = state.newest() if fabric.is_global_zero else None
    step = fabric.broadcast(step)
    return None if step is None else state.read(step)


def snapshot(loss: Loss, optimizer: Optimizer, fabric: Fabric) -> dict[str, Any]:
    """Collect what a training resumes from: `weights` (without the frozen ones), `optimizer`, `precision`.

    Every rank must call it; the first rank gets the complete values.
    """
    precision = fabric.strategy.precision.state_dict()  # holds the loss scale of 16-mixed
    # Weights first: after a forward pass, FSDP may hold whole parameters. Collecting the weights puts back the sharded
    # parameters, which the moments belong to.
    weights = trained(loss, fabric)
    if not _is_sharded(fabric):
        moments = optimizer.state_dict()
    else:
        # With an empty state, get_optimizer_state_dict() runs an optimizer step, so skip it until training has begun.
        begun = any(state for state in optimizer.state.values())
        moments = get_optimizer_state_dict(loss, optimizer, options=_WHOLE) if begun else {}
    return {"weights": weights, "optimizer": moments, "precision": precision}


def trained(loss: Loss, fabric: Fabric) -> dict[str, Tensor]:
    """Collect the weights without the frozen ones. Every rank must call it; the first rank gets them complete."""
    if not _is_sharded(fabric):
        return trained_state(loss.network)
    weights: dict[str, Any] = get_model_state_dict(loss, options=_WHOLE)
    return {name.removeprefix("network."): value for name, value in weights.items()}


def whole(loss: Loss, trained: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return all weights of the network under its own names: `trained` itself, or with adapters the merged weights."""
    return whole_state(loss.network) if has_adapters(loss.network) else trained


def restore(loss: Loss, optimizer: Optimizer, fabric: Fabric, saved: dict[str, Any]) -> None:
    """Restore optimizer and precision from a snapshot. The weights were loaded before the model was sharded."""
    fabric.strategy.precision.load_state_dict(saved["precision"])
    if not _is_sharded(fabric):
        optimizer.load_state_dict(saved["optimizer"])
    elif saved["optimizer"]:
        set_optimizer_state_dict(loss, optimizer, saved["optimizer"], options=StateDictOptions(full_state_dict=True))


def _is_sharded(fabric: Fabric) -> bool:
    return isinstance(fabric.strategy, ModelParallelStrategy)
