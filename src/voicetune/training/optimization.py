"""The optimizer, its learning rate, and the number of steps."""

import math
from typing import Any

import torch
from torch import nn

from voicetune.params.training import Phase
from voicetune.training import batches, memory


def total_steps(phase: Phase, clips: int) -> int:
    """Optimizer steps of the whole phase."""
    steps = phase.epochs * batches.steps_per_epoch(clips, phase.batch_size * phase.accumulate)
    return min(steps, phase.max_steps or steps)


def learning_rate(phase: Phase, step: int, steps: int) -> float:
    """Linear warm-up, then constant, or a cosine down to a tenth (Loshchilov & Hutter 2017)."""
    if step < phase.warmup_steps:
        return phase.lr * (step + 1) / phase.warmup_steps
    if phase.schedule == "constant":
        return phase.lr
    done = (step - phase.warmup_steps) / max(1, steps - phase.warmup_steps)
    return phase.lr * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def optimizer_for(loss: nn.Module, phase: Phase) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019) of trained parameters. Decay on matrices only, not norms, biases, embeddings."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    embeddings = {id(m.weight) for m in loss.modules() if isinstance(m, nn.Embedding)}
    for parameter in loss.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 and id(parameter) not in embeddings else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": phase.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    usual: dict[str, Any] = {"lr": phase.lr, "betas": (0.9, 0.96), "eps": 1e-8}
    if phase.optimizer == "adamw8bit":
        return memory.adam8bit(groups, **usual, device=next(loss.parameters()).device)
    return torch.optim.AdamW(groups, **usual, fused=True)
