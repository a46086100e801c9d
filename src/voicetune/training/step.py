"""One optimizer step. Its gradient is the same sum for any number of devices and pieces.

The whole batch of a step is drawn from (seed, step) alone. Then each device takes its share of the clips.
"""

import math
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from voicetune.data.codes import Codes
from voicetune.errors import UserError
from voicetune.model import Drawn, Loss, Recipe
from voicetune.params.training import Phase
from voicetune.training import batches
from voicetune.training.job import Job
from voicetune.training.optimization import learning_rate

_LEAST_SCALE = 1.0
"""The lowest loss scale of 16-mixed. The scale begins at 65,536, is halved by each skipped step and doubled after 2,000
good steps in a row. If it falls below 1, the gradients overflow at any scale."""
_OTHER_PRECISION = "use precision: 32-true (or bf16-mixed on an RTX 30 or newer)"
_KEPT = "The last state saved before this step is kept."


def recipe_of(phase: Phase) -> Recipe:
    return Recipe(
        reference=phase.reference,
        reference_seconds=phase.reference_seconds,
        shared_reference=phase.shared_reference,
        text_stop_visible=phase.text_stop_visible,
        stop_targets=phase.stop_targets,
    )


def drawn_of_step(loss: Loss, codes: Codes, phase: Phase, seed: int, step: int) -> list[Drawn]:
    """Draw the micro-batches of optimizer step `step` (0-based)."""
    lengths = codes.lengths[codes.training]
    clips = codes.training[batches.clips_of_step(seed, step, lengths, phase.batch_size * phase.accumulate)]
    parts = [clips[i : i + phase.batch_size] for i in range(0, len(clips), phase.batch_size)]
    rng = np.random.default_rng([seed, 3, step])
    return [loss.draw(codes, part, recipe_of(phase), rng) for part in parts]


def share(drawn: list[Drawn], rank: int, ranks: int, pieces: int) -> list[tuple[Drawn, bool]]:
    """Split each micro-batch into `pieces` and return the parts that `rank` processes, with whether each one counts.

    Every clip goes to exactly one rank. All ranks process the same number of parts, so that collectives stay aligned.
    A rank without clips takes the first clip of the micro-batch again with weight 0. A single rank drops such parts.
    """
    parts = []
    for whole in drawn:
        for piece in range(pieces):
            part = whole.part(slice(piece * ranks + rank, None, pieces * ranks))
            parts.append((part, True) if len(part.clips) else (whole.part(slice(0, 1)), False))
    return parts if ranks > 1 else [(part, counts) for part, counts in parts if counts]


class Stepper:
    """Takes the optimizer steps of one phase. Losses stay on the device until `losses` reads them, so no step waits.

    Args:
        model, optimizer: as Fabric set them up.
        steps: the number of steps of the whole phase.
    """

    def __init__(self, job: Job, model: _FabricModule, optimizer, steps: int):
        self.fabric, self.model, self.optimizer = job.fabric, model, optimizer
        self.loss, self.codes, self.phase, self.seed = job.loss, job.codes, job.phase, job.seed
        self.steps, self.pieces = steps, job.pieces
        self._waiting: list[tuple[int, Tensor, Tensor]] = []
        self._last = math.nan, math.nan

    def step(self, step: int) -> int:
        """Take optimizer step `step` (0-based); returns its number of tokens over all devices."""
        fabric, ranks = self.fabric, self.fabric.world_size
        drawn = drawn_of_step(self.loss, self.codes, self.phase, self.seed, step)
        recipe = recipe_of(self.phase)
        counts = np.array([part.targets(self.codes, recipe) for part in drawn]).sum(0)
        text_count, mel_count = (max(1, int(count)) for count in counts)
        torch.manual_seed(self.seed * 1_000_003 + step + (fabric.global_rank << 40))  # dropout, derived and not stored
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.phase, step, self.steps)
        sums = torch.zeros(2, device=fabric.device)
        parts = share(drawn, fabric.global_rank, ranks, self.pieces)
        for number, (part, counted) in enumerate(parts, start=1):
            batch = self.loss.batch(self.codes, part, recipe).to(fabric.device)
            with fabric.no_backward_sync(self.model, enabled=number < len(parts)):
                text, mel = self.model(batch)
                both = torch.stack([mel.sum() / mel_count, text.sum() / text_count]) * counted
                # The gradients are averaged over the ranks; times `ranks`, that is their sum.
                fabric.backward((both[0] + self.phase.text_weight * both[1]) * ranks)
            sums = sums + both.detach()
        norm = self._clipped()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._waiting.append((step, sums, torch.as_tensor(norm).detach()))
        return text_count + mel_count

    def _clipped(self) -> Tensor | None:
        """Clip the gradients; returns their norm before clipping.

        Fabric refuses to unscale the gradients of 16-mixed for a fused AdamW; torch's own scaler does it.
        """
        scaler, longest = _scaler(self.fabric), self.phase.clip_norm
        if scaler is None:
            return self.fabric.clip_gradients(self.model, self.optimizer, max_norm=longest, error_if_nonfinite=False)
        scaler.unscale_(self.optimizer.optimizer)
        return nn.utils.clip_grad_norm_(self.model.parameters(), longest)

    def losses(self) -> tuple[float, float]:
        """Return mel CE and text CE of the last step, in nats per token, and check all steps since the last call.

        Raises:
            UserError: a loss or gradient norm is not finite, so the weights are not either; or the gradients of
                16-mixed overflow at any scale.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return self._last
        sums = cast(Tensor, self.fabric.all_reduce(torch.stack([sums for _, sums, _ in waiting]), reduce_op="sum"))
        norms = torch.stack([norm.full_tensor() if isinstance(norm, DTensor) else norm for _, _, norm in waiting]).cpu()
        scaler = _scaler(self.fabric)
        if scaler is not None:  # the scaler itself skips a step whose gradients overflow, and halves its scale
            norms = torch.zeros_like(norms)
        for (step, _, _), (mel_ce, text_ce), norm in zip(waiting, sums.tolist(), norms.tolist(), strict=True):
            if not math.isfinite(mel_ce + text_ce + norm):
                raise UserError(self._not_finite(step, mel_ce, text_ce))
        if scaler is not None and scaler.get_scale() < _LEAST_SCALE:
            raise UserError(
                f"step {waiting[-1][0] + 1}: the gradients are too large for 16-bit numbers in nearly every step, and"
                f" such a step is skipped; {_OTHER_PRECISION}. {_KEPT}"
            )
        self._last = sums[-1, 0].item(), sums[-1, 1].item()
        return self._last

    def _not_finite(self, step: int, mel_ce: float, text_ce: float) -> str:
        drawn = drawn_of_step(self.loss, self.codes, self.phase, self.seed, step)
        names = ", ".join(self.codes.clips[i].id for part in drawn for i in part.clips)
        remedy = "lower lr or leave these clips out"
        if self.phase.precision == "16-mixed":
            remedy = f"{_OTHER_PRECISION}; if it happens there too, {remedy}"
        return (
            f"step {step + 1}: the loss is not a finite number (mel CE {mel_ce}, text CE {text_ce}) on the clips"
            f" {names}; {remedy}. {_KEPT}"
        )


def _scaler(fabric: Fabric) -> torch.amp.GradScaler | None:
    """The gradient scaler of 16-mixed, so that gradients do not underflow in 16 bits; None in other precisions."""
    return getattr(fabric.strategy.precision, "scaler", None)
