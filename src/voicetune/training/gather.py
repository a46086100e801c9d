"""Weights and optimizer of a training that may be spread over devices, as one state, and back.

One device, or DDP: what each holds is the whole. FSDP: each holds a part; they are brought together on
the first one's CPU, under the names that a single device would use.
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

from voicetune.training.checkpoint import State
from voicetune.training.memory import has_adapters, stock_state, trained_state
from voicetune.xtts.gpt import TrainingLoss

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def load(state: State, fabric: Fabric) -> dict[str, Any] | None:
    """The last whole state, the same on every device. The folder is one that all can read."""
    step = state.newest() if fabric.is_global_zero else None
    step = fabric.broadcast(step)
    return None if step is None else state.read(step)


def snapshot(loss: TrainingLoss, optimizer: Optimizer, fabric: Fabric) -> dict[str, Any]:
    """What a training goes on from: `gpt` (without what is frozen), `optimizer`, `precision`.

    To be called on every device; whole on the first.
    """
    precision = fabric.strategy.precision.state_dict()  # the scale of 16-mixed
    weights = trained(
        loss, fabric
    )  # first: after a forward pass, only this brings back the parts that moments belong to
    if not _is_sharded(fabric):
        moments = optimizer.state_dict()
    else:
        begun = any(state for state in optimizer.state.values())  # asked before, torch would take a step of its own
        moments = get_optimizer_state_dict(loss, optimizer, options=_WHOLE) if begun else {}
    return {"gpt": weights, "optimizer": moments, "precision": precision}


def trained(loss: TrainingLoss, fabric: Fabric) -> dict[str, Tensor]:
    """The GPT's weights without those that are frozen. To be called on every device; whole on the first."""
    if not _is_sharded(fabric):
        return trained_state(loss.gpt)
    weights: dict[str, Any] = get_model_state_dict(loss, options=_WHOLE)
    return {name.removeprefix("gpt."): value for name, value in weights.items()}


def whole(loss: TrainingLoss, trained: dict[str, Tensor]) -> dict[str, Tensor]:
    """The GPT's whole weights by the stock names; `trained`, just asked for, where nothing is frozen."""
    return stock_state(loss.gpt) if has_adapters(loss.gpt) else trained


def restore(loss: TrainingLoss, optimizer: Optimizer, fabric: Fabric, saved: dict[str, Any]) -> None:
    """Optimizer and precision from a snapshot; the weights were loaded before the model was spread."""
    fabric.strategy.precision.load_state_dict(saved["precision"])
    if not _is_sharded(fabric):
        optimizer.load_state_dict(saved["optimizer"])
    elif saved["optimizer"]:
        set_optimizer_state_dict(loss, optimizer, saved["optimizer"], options=StateDictOptions(full_state_dict=True))


def _is_sharded(fabric: Fabric) -> bool:
    return isinstance(fabric.strategy, ModelParallelStrategy)
