"""Muon for the hidden matrices of the tiny base, AdamW for the rest.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) makes each matrix's momentum orthogonal and uses
the result as the step. The step is scaled to AdamW's usual size (Liu et al. 2025, https://arxiv.org/abs/2502.16982), so
that one learning rate serves both. AdamW takes a fixed share of it.
"""

from collections import defaultdict

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
ADAMW_SHARE = 0.4  # of the learning rate; the whole of it is too much for embeddings and heads


class Muon(torch.optim.Optimizer):
    """Updates the transformer's matrices by Muon; embeddings, heads, convolutions, norms and biases by AdamW."""

    def __init__(self, gpt: nn.Module, lr: float, weight_decay: float):
        matrices = [p for p in gpt.gpt.h.parameters() if p.ndim == 2]
        theirs = {id(p) for p in matrices}
        others = [p for p in gpt.parameters() if id(p) not in theirs]
        groups = [
            {"params": matrices, "muon": True, "weight_decay": weight_decay},
            {"params": others, "muon": False, "weight_decay": 0.0},
        ]
        super().__init__(groups, {"lr": lr, "betas": (0.9, 0.96), "eps": 1e-8})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            (self._muon if group["muon"] else self._adamw)(group, parameters)

    def _muon(self, group: dict, parameters: list[Tensor]) -> None:
        shapes = defaultdict(list)
        for p in parameters:
            shapes[p.shape].append(p)
        for shape, alike in shapes.items():
            updates = []
            for p in alike:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - MOMENTUM)
                updates.append(p.grad.lerp(momentum, MOMENTUM))
            scale = 0.2 * max(shape) ** 0.5
            for p, update in zip(alike, orthogonal(torch.stack(updates)), strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)

    def _adamw(self, group: dict, parameters: list[Tensor]) -> None:
        for p in parameters:
            state = self.state[p]
            if not state:
                state |= {"step": torch.zeros(()), "first": torch.zeros_like(p), "second": torch.zeros_like(p)}
            state["step"] += 1
        first, second = ([self.state[p][name] for p in parameters] for name in ("first", "second"))
        gradients, count = [p.grad for p in parameters], float(self.state[parameters[0]]["step"])
        b1, b2 = group["betas"]
        torch._foreach_lerp_(first, gradients, 1 - b1)
        torch._foreach_mul_(second, b2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - b2)
        size = torch._foreach_sqrt(second)
        torch._foreach_mul_(size, (1 - b2**count) ** -0.5)
        torch._foreach_add_(size, group["eps"])
        torch._foreach_addcdiv_(parameters, first, size, -ADAMW_SHARE * group["lr"] / (1 - b1**count))


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """Approximate the nearest semi-orthogonal matrices by Newton-Schulz steps in bf16: (n, rows, columns)."""
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (-4.775 * square + 2.0315 * (square @ square)) @ x
    return (x.mT if tall else x).to(matrices.dtype)
