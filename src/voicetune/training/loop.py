"""The training loop, top to bottom. It does not depend on audio, DVC or the command line.

Every step is a pure function of the weights, the optimizer state and the step's number: the batch, the
references and the dropout are derived from (seed, step). So a state holds the weights, the optimizer state, the
step and the curves so far. A training that is killed and resumed ends with the same weights as one that was not.
"""

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import torch
from lightning_fabric import Fabric
from torch import Tensor

from voicetune.errors import Stopped, UserError
from voicetune.measures import cross_entropy
from voicetune.training import gather, signals
from voicetune.training.job import Job, Row
from voicetune.training.memory import load_trained_state
from voicetune.training.optimization import optimizer_for, total_steps
from voicetune.training.progress import Progress, Show, TokenRate, show_bar
from voicetune.training.step import Stepper

_SAVED = {"weights", "optimizer", "precision", "run", "history", "best_step"}  # the keys of a state
_SAVE_SECONDS = 60.0  # between two states; a resumed training repeats the steps after its last state


def train(job: Job) -> tuple[dict[str, Tensor], Progress]:
    """Train one phase to its end.

    Returns:
        the best weights by validation mel CE or the judge (empty on ranks other than the first), and the progress.

    Raises:
        Stopped: a signal came; the state is saved.
        UserError: the loss is not finite; such a state is not saved.
    """
    # 1. The model and the optimizer, resumed from the saved state if there is one
    training = Training(job)
    run, fabric = training.run, job.fabric

    # 2. Before the first step: evaluate the parent
    with signals.caught() as caught, show_bar(training.steps, fabric.is_global_zero) as show, job.state.flushed():
        if not training.is_resumed:
            training.evaluate_parent()

        # 3. Steps
        last_save, rate = time.monotonic(), TokenRate(run.tokens)
        while not run.ended:
            is_logged = training.step(show, rate)
            to_stop, to_save = _agree(fabric, is_logged, [bool(caught), time.monotonic() - last_save > _SAVE_SECONDS])
            training.evaluate_if_due(state_too=to_stop or to_save)
            if to_save:
                last_save = time.monotonic()
            if to_stop:  # also after the last step: what is published must not be reported as stopped
                raise Stopped(
                    f"stopped by {caught[0] if caught else 'a signal'} at step {run.step} of {training.steps}"
                )

    # 4. The best model
    return job.state.best(run.best_step) if fabric.is_global_zero else {}, run


class Training:
    """A training under way: its stepper, its progress, its curves, and how it is evaluated and saved.

    steps: the number of steps of the whole phase.
    history: the rows that were logged, each [step, values].
    """

    def __init__(self, job: Job):
        """Set up the model and the optimizer with Fabric, and resume from the saved state if there is one."""
        loss, phase, fabric = job.loss, job.phase, job.fabric
        self.job, self.steps = job, total_steps(phase, len(job.codes.training))
        self.run, self.history = Progress(), list[Any]()
        saved = gather.load(job.state, fabric)
        self.is_resumed = saved is not None
        if saved:
            _check_version(saved, job.state.folder)
            load_trained_state(loss.network, saved["weights"])
            self.run, self.history = Progress(**saved["run"]), saved["history"]
            fabric.print(f"resuming from step {self.run.step} of {self.steps}")
        loss.set_dropout(phase.dropout)
        loss.train()  # the network arrives in eval mode, also when the training is resumed
        model = fabric.setup_module(loss)
        optimizer: Any = fabric.setup_optimizers(job.optimizer or optimizer_for(loss, phase))
        if saved:
            gather.restore(loss, optimizer, fabric, saved)
        for step, row in self.history:
            job.log(step, row, False)
        self.stepper = Stepper(job, model, optimizer, self.steps)

    def log(self, values: Row, write: bool) -> None:
        """Add the current step's values to the curves."""
        self.history.append([self.run.step, values])
        self.job.log(self.run.step, values, write)

    def step(self, show: Show, rate: TokenRate) -> bool:
        """Take the next step, show it and, at every `log_every`-th step, log it. Returns whether it was logged."""
        job, run, stepper = self.job, self.run, self.stepper
        started = time.monotonic()
        job.before_step(run.step)
        run.tokens += stepper.step(run.step)
        run.step += 1
        to_log = run.step % job.phase.log_every == 0
        if to_log or job.fabric.device.type == "cpu":  # reading the losses waits for the GPU, so not at each step
            show(run, stepper.losses()[0])
        run.seconds += time.monotonic() - started
        if to_log:
            self.log(_row(stepper, rate.read(run.tokens)), write=run.step % (10 * job.phase.log_every) == 0)
        return to_log

    def evaluate_parent(self) -> None:
        """Evaluate before the first step; the phase may end with that."""
        self.evaluate(state_too=True)
        if self.run.ended:
            self.job.fabric.print(
                "no step is taken: the model that this phase starts from already has a validation mel CE of"
                f" {self.run.start_mel_ce:.4f}, and the target is {self.job.phase.target_mel_ce:g}; lower"
                " target_mel_ce or set it to null"
            )

    def evaluate_if_due(self, state_too: bool) -> None:
        """Evaluate at every `eval_every`-th step and at the last one. Save the state if `state_too` is set.

        Raises:
            UserError: a loss is not finite; nothing is saved then.
        """
        is_due = self.run.step % self.job.phase.eval_every == 0 or self.run.step == self.steps
        if is_due or state_too:
            self.stepper.losses()  # raises if a loss is not finite
        if is_due:
            self.evaluate(state_too)
        else:
            self.save(best=False, state_too=state_too)

    def evaluate(self, state_too: bool) -> None:
        """Measure the validation clips' cross entropies, the same on every rank. Save the weights if they are the best.

        The whole state is several times as large, so it is saved only if `state_too` is set or the phase ends.

        Raises:
            UserError: a cross entropy is not finite.
        """
        job, run = self.job, self.run
        found = cross_entropy.measure(job.loss, job.codes, job.codes.validation, job.seed, job.measured)
        if not math.isfinite(found.mel_ce + found.text_ce):
            raise UserError(
                f"step {run.step}: the validation loss is not a finite number; lower lr, or check the model that this"
                " phase starts from (base for phase 1, phase 1 for phase 2)."
            )
        figures, score = job.judge() if job.judge else ({}, found.mel_ce)
        values = {"mel_ce": found.mel_ce, "text_ce": found.text_ce, **figures}
        self.log({f"validation/{name}": value for name, value in values.items()}, write=True)
        is_best = run.add_evaluation(found.mel_ce, found.text_ce, score)
        run.end_if_due(job.phase, self.steps, found.mel_ce)
        self.save(is_best, state_too or bool(run.ended))
        job.fabric.print(
            f"step {run.step}/{self.steps}  validation mel CE {found.mel_ce:.4f}  text CE {found.text_ce:.4f}"
            + "".join(f"  {name} {value:.4f}" for name, value in figures.items())
            + f"  best {run.best_mel_ce:.4f} at {run.best_step}"
        )

    def save(self, best: bool, state_too: bool) -> None:
        """Save the weights as the best ones, the state, both or neither. Every rank must call it."""
        if not (best or state_too):
            return
        loss, fabric, run, optimizer = self.job.loss, self.job.fabric, self.run, self.stepper.optimizer
        value = gather.snapshot(loss, optimizer, fabric) if state_too else {"weights": gather.trained(loss, fabric)}
        weights = gather.whole(loss, value["weights"]) if best else None
        if not fabric.is_global_zero:
            return
        if state_too:
            more = {"run": asdict(run), "history": self.history, "best_step": run.best_step}
            self.job.state.save({**value, **more}, weights)
        elif weights is not None:
            self.job.state.save_best(run.best_step, weights)


def _check_version(saved: dict[str, Any], folder: Path) -> None:
    """Check that this version of the code wrote a state.

    The name of a phase's state folder holds a hash of the code, so only a caller that names its folder otherwise, such
    as the pretraining, can find another version's state.

    Raises:
        UserError: another version wrote it.
    """
    if saved.keys() != _SAVED or saved["run"].keys() != asdict(Progress()).keys():
        raise UserError(
            f"{folder} has a state that another version of voicetune wrote; remove this folder and run the same command"
            " again."
        )


def _agree(fabric: Fabric, may_ask: bool, wishes: list[bool]) -> list[bool]:
    """Make all ranks do in the same step what any of them wishes. The exchange takes time, so it needs `may_ask`."""
    if fabric.world_size == 1:
        return wishes
    if not may_ask:
        return [False] * len(wishes)
    agreed: Any = fabric.all_reduce(torch.tensor(wishes, dtype=torch.float32, device=fabric.device), reduce_op="max")
    return agreed.bool().tolist()


def _row(stepper: Stepper, rate: float) -> Row:
    """The values of the last step for the curves; `rate` is in tokens per second."""
    mel_ce, text_ce = stepper.losses()
    memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss
    return {
        "train/mel_ce": mel_ce,
        "train/text_ce": text_ce,
        "lr": stepper.optimizer.param_groups[0]["lr"],
        "run/tokens_per_second": rate,
        "run/memory_gib": memory / 2**30,
    }
