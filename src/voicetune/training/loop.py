"""The training loop, top to bottom. It does not depend on audio, DVC or the command line.

Every step is a pure function of the weights, the optimizer state and the step's number: the batch, the
references and the dropout are derived from (seed, step). So a state holds the weights, the optimizer state, the
step and the curves so far. A training that is killed and resumed ends with the same weights as one that was not.
"""

import math
import signal
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import psutil
import torch
from lightning_fabric import Fabric
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from voicetune.data.codes import Codes
from voicetune.errors import Stopped, UserError
from voicetune.measures import cross_entropy
from voicetune.params.training import Phase
from voicetune.training import gather
from voicetune.training.checkpoint import State
from voicetune.training.memory import load_trained_state
from voicetune.training.optimization import optimizer_for, total_steps
from voicetune.training.step import Stepper
from voicetune.xtts.gpt import Tokens, TrainingLoss, set_dropout
from voicetune.xtts.rows import Recipe

_SAVE_SECONDS = 60.0  # between two states; a resumed training repeats the steps after its last state

Row = dict[str, float]
Judge = Callable[[], tuple[Row, float]]
"""Judges the current model. Returns figures for the curve and a score for choosing the best model (lower is better)."""
Log = Callable[[int, Row, bool], None]
"""Called with the step, its values and whether to write now. A resumed training first passes the rows of its history.
Values named `run/...` differ from run to run: they are measured speed and memory."""


@dataclass
class Progressed:
    """Progress of a phase, saved in every state beside the weights and the optimizer state."""

    step: int = 0
    best_step: int = 0
    best_score: float = math.inf  # of the best model: its mel CE, or the judge's score
    best_mel_ce: float = math.inf
    best_text_ce: float = math.inf
    start_mel_ce: float = math.inf
    worse: int = 0  # evaluations since the best one
    tokens: int = 0
    seconds: float = 0.0
    ended: str = ""  # why: "all steps", "target reached", "patience"


def train(
    loss: TrainingLoss,
    codes: Codes,
    tokens: Tokens,
    phase: Phase,
    seed: int,
    state: State,
    log: Log,
    fabric: Fabric,
    measured: Recipe,
    optimizer: torch.optim.Optimizer | None = None,
    before_step: Callable[[int], None] = lambda step: None,
    pieces: int = 1,
    judge: Judge | None = None,
) -> tuple[dict[str, Tensor], Progressed]:
    """Train one phase to its end.

    Args:
        loss: wraps the GPT, loaded with the parent's weights; it is trained in place.
        state: the state to resume from and to save to; the caller holds its lock.
        measured: how validation clips are conditioned; the caller gives the same to every phase.
        optimizer: optimizes the GPT's parameters; the default is `optimizer_for`'s.
        before_step: called with the number of each optimizer step (from 0) before that step.
        pieces: how many parts each micro-batch is split into to save memory; the sums over clips stay the same.
        judge: chooses the best model instead of the validation mel CE; must give the same answer on every rank.

    Returns:
        the best GPT weights by validation mel CE or the judge (empty on ranks other than the first), and the progress.

    Raises:
        Stopped: a signal came; the state is saved.
        UserError: the loss is not finite; such a state is not saved.
    """
    # 1. The model, the optimizer, the number of steps; the saved state, if there is one
    steps = total_steps(phase, len(codes.training))
    run, history = Progressed(), []
    if saved := gather.load(state, fabric):
        load_trained_state(loss.gpt, saved["gpt"])
        run, history = Progressed(**saved["run"]), saved["history"]
        fabric.print(f"going on from step {run.step} of {steps}")
    set_dropout(loss.gpt, phase.dropout)
    loss.train()  # the GPT arrives in eval mode, also when the training is resumed
    model = fabric.setup_module(loss)
    stepping: Any = fabric.setup_optimizers(optimizer or optimizer_for(loss, phase))
    if saved:
        gather.restore(loss, stepping, fabric, saved)
    for step, row in history:
        log(step, row, False)

    # 2. Saving, logging and evaluation
    def save(best: bool, state_too: bool) -> None:
        """Save the best weights, the state, both or neither."""
        if not (best or state_too):
            return
        value = gather.snapshot(loss, stepping, fabric) if state_too else {"gpt": gather.trained(loss, fabric)}
        weights = gather.whole(loss, value["gpt"]) if best else None
        if not fabric.is_global_zero:
            return
        if state_too:
            state.save({**value, "run": asdict(run), "history": history, "best_step": run.best_step}, weights)
        elif weights is not None:
            state.save_best(run.best_step, weights)

    def note(values: Row, write: bool) -> None:
        history.append([run.step, values])
        log(run.step, values, write)

    def evaluate(state_too: bool) -> None:
        """Measure the validation clips' cross entropies, the same on every rank. Save the weights if they are the best.

        The whole state is several times as large, so it is saved only if `state_too` is set or the phase ends.
        """
        found = cross_entropy.measure(loss, codes, codes.validation, tokens, seed, measured)
        if not math.isfinite(found.mel_ce + found.text_ce):
            raise UserError(
                f"step {run.step}: the validation loss is not a finite number; lower lr or check the parent."
            )
        values = {"validation/mel_ce": found.mel_ce, "validation/text_ce": found.text_ce}
        heard, score = judge() if judge else ({}, found.mel_ce)
        note({**values, **{f"validation/{name}": value for name, value in heard.items()}}, True)
        if run.step == 0:
            run.start_mel_ce = found.mel_ce
        better = score < run.best_score
        run.worse = 0 if better else run.worse + 1
        if better:
            run.best_step, run.best_score = run.step, score
            run.best_mel_ce, run.best_text_ce = found.mel_ce, found.text_ce
        if phase.target_mel_ce is not None and found.mel_ce <= phase.target_mel_ce:
            run.ended = "target reached"
        elif phase.patience is not None and run.worse >= phase.patience:
            run.ended = "patience"
        elif run.step == steps:
            run.ended = "all steps"
        save(better, state_too or bool(run.ended))
        fabric.print(
            f"step {run.step}/{steps}  validation mel CE {found.mel_ce:.4f}  text CE {found.text_ce:.4f}"
            + "".join(f"  {name} {value:.4f}" for name, value in heard.items())
            + f"  best {run.best_mel_ce:.4f} at {run.best_step}"
        )

    # 3. Before the first step: evaluate the parent
    with _signals() as stopped, _progress(steps, fabric) as bar, state.flushed():
        if not saved:
            evaluate(state_too=True)
            if run.ended:
                fabric.print(
                    f"no step is taken: the parent's validation mel CE of {run.start_mel_ce:.4f} is at the target of"
                    f" {phase.target_mel_ce:g} already; lower target_mel_ce, or set it to null"
                )

        # 4. Steps
        stepper = Stepper(fabric, model, stepping, codes, tokens, phase, seed, steps, pieces)
        last_save = last_log = time.monotonic()
        seen = run.tokens
        while not run.ended:
            started = time.monotonic()
            before_step(run.step)
            run.tokens += stepper.step(run.step)
            run.step += 1
            to_log = run.step % phase.log_every == 0
            to_evaluate = run.step % phase.eval_every == 0 or run.step == steps
            if to_log or fabric.device.type == "cpu":  # reading the losses waits for the GPU, so not at each step
                mel_ce, text_ce = stepper.losses()
                bar(run, mel_ce)
            run.seconds += time.monotonic() - started
            if to_log:
                now = time.monotonic()
                rate, seen, last_log = (run.tokens - seen) / (now - last_log), run.tokens, now
                note(_row(stepping, mel_ce, text_ce, rate), run.step % (10 * phase.log_every) == 0)
            to_stop, to_save = _agreed(fabric, to_log, [bool(stopped), time.monotonic() - last_save > _SAVE_SECONDS])
            if to_evaluate or to_stop or to_save:
                stepper.losses()  # raises if a loss is not finite, before anything is saved
            if to_evaluate:
                evaluate(state_too=to_stop or to_save)
            elif to_stop or to_save:
                save(best=False, state_too=True)
            if to_save:
                last_save = time.monotonic()
            if to_stop and not run.ended:
                which = signal.Signals(stopped[0]).name if stopped else "a signal"
                raise Stopped(f"stopped by {which} at step {run.step} of {steps}")

    # 5. The best model
    return state.best(run.best_step) if fabric.is_global_zero else {}, run


def _agreed(fabric: Fabric, may_ask: bool, wishes: list[bool]) -> list[bool]:
    """Make all ranks do in the same step what any of them wishes. The exchange takes time, so it needs `may_ask`."""
    if fabric.world_size == 1:
        return wishes
    if not may_ask:
        return [False] * len(wishes)
    told: Any = fabric.all_reduce(torch.tensor(wishes, dtype=torch.float32, device=fabric.device), reduce_op="max")
    return told.bool().tolist()


def _row(optimizer, mel_ce: float, text_ce: float, rate: float) -> Row:
    memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss
    return {
        "train/mel_ce": mel_ce,
        "train/text_ce": text_ce,
        "lr": optimizer.param_groups[0]["lr"],
        "run/tokens_per_second": rate,
        "run/memory_gib": memory / 2**30,
    }


@contextmanager
def _signals():
    """Collect SIGTERM and SIGINT, so that the step can end and its state be saved. A second SIGINT stops at once."""
    caught: list[int] = []

    def handler(number, _frame):
        if number == signal.SIGINT and number in caught:
            raise KeyboardInterrupt
        caught.append(number)  # after a SIGINT the agent also sends a SIGTERM, which must not count as a second SIGINT

    old = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, previous in old.items():
            signal.signal(number, previous)


@contextmanager
def _progress(steps: int, fabric: Fabric):
    """Show a bar with step, mel CE, best mel CE and time left; nothing if there is no terminal."""
    columns = [
        TextColumn("step {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, transient=True, disable=not fabric.is_global_zero) as progress:
        task = progress.add_task("", total=steps, state="")

        def show(run: Progressed, mel_ce: float) -> None:
            progress.update(task, completed=run.step, state=f"mel CE {mel_ce:.3f} best {run.best_mel_ce:.3f}")

        yield show
