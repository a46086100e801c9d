"""The description of one training, which the loop and its steps read."""

from collections.abc import Callable
from dataclasses import dataclass

from lightning_fabric import Fabric
from torch.optim import Optimizer

from voicetune.data.codes import Codes
from voicetune.model import Loss, Recipe
from voicetune.params.training import Phase
from voicetune.training.checkpoint import State

Row = dict[str, float]
Judge = Callable[[], tuple[Row, float]]
"""Judges the current model. Returns figures for the curve and a score for choosing the best model (lower is better)."""
Log = Callable[[int, Row, bool], None]
"""Called with the step, its values and whether to write now. A resumed training first passes the rows of its history.
Values named `run/...` differ from run to run: they are measured speed and memory."""


@dataclass(frozen=True)
class Job:
    """What is trained on which clips, and how.

    loss: wraps the network, loaded with the parent's weights. It is trained in place.
    state: the state to resume from and to save to; the caller holds its lock.
    measured: how validation clips are conditioned; the caller gives the same to every phase.
    optimizer: optimizes the network's parameters; the default is `optimizer_for`'s.
    before_step: called with the number of each optimizer step (from 0) before that step.
    pieces: how many parts each micro-batch is split into to save memory; the sums over clips stay the same.
    judge: chooses the best model instead of the validation mel CE; must give the same answer on every rank.
    """

    loss: Loss
    codes: Codes
    phase: Phase
    seed: int
    measured: Recipe
    fabric: Fabric
    state: State
    log: Log = lambda step, row, write: None
    optimizer: Optimizer | None = None
    before_step: Callable[[int], None] = lambda step: None
    pieces: int = 1
    judge: Judge | None = None
