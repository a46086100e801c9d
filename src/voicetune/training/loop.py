"""The training loop, top to bottom. Knows nothing of audio, DVC or the command line.

Every step is a pure function of the weights, the optimizer's state and its number: the batch, the
references and the dropout are derived from (seed, step). So a state is weights, optimizer, step and
the curves so far, and a training that was killed ends in the same weights as one that was not.
"""

import math
import signal
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
import psutil
import torch
from lightning_fabric import Fabric
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from voicetune.data.codes import Codes
from voicetune.errors import UserError
from voicetune.measures import cross_entropy
from voicetune.params import Phase
from voicetune.training import batches
from voicetune.training.checkpoint import State
from voicetune.xtts.gpt import Tokens, TrainingLoss, set_dropout
from voicetune.xtts.rows import Recipe, assemble

_SAVE_SECONDS = 60.0

Row = dict[str, float]
Log = Callable[[int, Row, bool], None]
"""Called with step, values and whether to write now; first with the rows of a resumed history."""


@dataclass
class Progressed:
    """What a phase knows of itself besides weights and optimizer; saved with every state."""

    step: int = 0
    best_step: int = 0
    best_mel_ce: float = math.inf
    best_text_ce: float = math.inf
    start_mel_ce: float = math.inf
    worse: int = 0  # evaluations since the best
    tokens: int = 0
    seconds: float = 0.0
    ended: str = ""  # why: "all steps", "target reached", "patience"


class Stopped(UserError):
    """SIGTERM or SIGINT came; the state is saved, the phase is not finished."""


def recipe_of(phase: Phase) -> Recipe:
    return Recipe(
        reference=phase.reference,
        reference_seconds=phase.reference_seconds,
        shared_reference=phase.shared_reference,
        text_stop_visible=phase.text_stop_visible,
        stop_targets=phase.stop_targets,
    )


def total_steps(phase: Phase, clips: int) -> int:
    """Optimizer steps of the whole phase."""
    steps = phase.epochs * batches.steps_per_epoch(clips, phase.batch_size * phase.accumulate)
    return min(steps, phase.max_steps or steps)


def learning_rate(phase: Phase, step: int, steps: int) -> float:
    """Linear warm-up, then constant, or a cosine to a tenth (Loshchilov & Hutter 2017)."""
    if step < phase.warmup_steps:
        return phase.lr * (step + 1) / phase.warmup_steps
    if phase.schedule == "constant":
        return phase.lr
    done = (step - phase.warmup_steps) / max(1, steps - phase.warmup_steps)
    return phase.lr * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def optimizer_for(loss: nn.Module, phase: Phase) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019); decay on matrices only, not on norms, biases, embeddings."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    embeddings = {id(m.weight) for m in loss.modules() if isinstance(m, nn.Embedding)}
    for parameter in loss.parameters():
        (decayed if parameter.ndim > 1 and id(parameter) not in embeddings else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": phase.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=phase.lr, betas=(0.9, 0.96), eps=1e-8, fused=True)


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
) -> tuple[dict[str, Tensor], Progressed]:
    """Train one phase to its end.

    Args:
        loss: wraps the GPT, loaded with the parent's weights; it is trained in place.
        state: where to go on from, and to keep the state; the caller holds its lock.
        measured: how held-out clips are conditioned; the caller gives the same to every phase.
        optimizer: of the GPT's parameters, if not `optimizer_for`'s.

    Returns:
        the best GPT weights by held-out mel CE, and the facts of the run.

    Raises:
        Stopped: a signal came; the state is saved.
        UserError: the loss is not finite (nothing of it is saved).
    """
    # 1. The model, the optimizer, the schedule
    set_dropout(loss, phase.dropout)
    loss.train()  # the GPT comes in eval mode, also when going on from a state
    model, optimizer = fabric.setup(loss, optimizer or optimizer_for(loss, phase))
    steps = total_steps(phase, len(codes.training))

    # 2. Go on from a state, if there is one
    run, history = Progressed(), []
    if saved := state.load():
        loss.gpt.load_state_dict(saved["gpt"])
        optimizer.load_state_dict(saved["optimizer"])
        run, history = Progressed(**saved["run"]), saved["history"]
        fabric.print(f"going on from step {run.step} of {steps}")
    for step, row in history:
        log(step, row, False)

    def save(best: bool) -> None:
        value = {
            "gpt": loss.gpt.state_dict(), "optimizer": optimizer.state_dict(), "run": asdict(run), "history": history,
            "best_step": run.best_step,
        }  # fmt: skip
        state.save(value, best)

    def note(values: Row, write: bool) -> None:
        history.append([run.step, values])
        log(run.step, values, write)

    def evaluate() -> None:
        """Held-out cross entropies; keeps the best."""
        held_out = cross_entropy.measure(loss, codes, codes.held_out, tokens, seed, measured)
        if not math.isfinite(held_out.mel_ce + held_out.text_ce):
            raise UserError(f"step {run.step}: the held-out loss is not a finite number; lower lr or check the parent.")
        values = {"held_out/mel_ce": held_out.mel_ce, "held_out/text_ce": held_out.text_ce}
        note(values, True)
        if run.step == 0:
            run.start_mel_ce = held_out.mel_ce
        better = held_out.mel_ce < run.best_mel_ce
        run.worse = 0 if better else run.worse + 1
        if better:
            run.best_step, run.best_mel_ce, run.best_text_ce = run.step, held_out.mel_ce, held_out.text_ce
        if phase.target_mel_ce is not None and run.best_mel_ce <= phase.target_mel_ce:
            run.ended = "target reached"
        elif phase.patience is not None and run.worse >= phase.patience:
            run.ended = "patience"
        elif run.step == steps:
            run.ended = "all steps"
        save(better)
        fabric.print(
            f"step {run.step}/{steps}  held-out mel CE {held_out.mel_ce:.4f}  text CE {held_out.text_ce:.4f}"
            f"  best {run.best_mel_ce:.4f} at {run.best_step}"
        )

    # 3. Before the first step: what the parent is worth
    if not saved:
        evaluate()

    # 4. Steps
    last_save = last_log = time.monotonic()
    seen = run.tokens
    with _signals() as stopped, _progress(steps) as bar, state.flushed():
        while not run.ended:
            started = time.monotonic()
            mel_ce, text_ce, count = _step(fabric, model, optimizer, codes, tokens, phase, seed, run.step, steps)
            run.step += 1
            run.tokens += count
            run.seconds += time.monotonic() - started
            if run.step % phase.log_every == 0:
                now = time.monotonic()
                rate, seen, last_log = (run.tokens - seen) / (now - last_log), run.tokens, now
                note(_row(optimizer, mel_ce, text_ce, rate), run.step % (10 * phase.log_every) == 0)
            if run.step % phase.eval_every == 0 or run.step == steps:
                evaluate()
                last_save = time.monotonic()
            elif stopped or time.monotonic() - last_save > _SAVE_SECONDS:
                save(False)
                last_save = time.monotonic()
            bar(run, mel_ce)
            if stopped and not run.ended:
                raise Stopped(f"stopped by {signal.Signals(stopped[0]).name} at step {run.step} of {steps}")

    # 5. The best model
    return state.best(run.best_step), run


def _step(fabric, model, optimizer, codes, tokens, phase, seed, step, steps) -> tuple[float, float, int]:
    """One optimizer step; returns mel CE, text CE (nats per token) and the number of tokens."""
    lengths = codes.lengths[codes.training]
    clips = codes.training[batches.clips_of_step(seed, step, lengths, phase.batch_size * phase.accumulate)]
    parts = [clips[i : i + phase.batch_size] for i in range(0, len(clips), phase.batch_size)]
    rng = np.random.default_rng([seed, 3, step])
    built = [assemble(codes, part, recipe_of(phase), tokens, rng).to(fabric.device) for part in parts]
    text_count = sum(batch.text_targets.numel() for batch in built)
    mel_count = sum(batch.mel_targets.numel() for batch in built)
    torch.manual_seed(seed * 1_000_003 + step)  # dropout, derived and not stored
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(phase, step, steps)
    text_sum = mel_sum = torch.zeros((), device=fabric.device)
    for batch in built:
        text, mel = model(batch)
        objective = mel.sum() / mel_count + phase.text_weight * text.sum() / text_count
        fabric.backward(objective)
        text_sum, mel_sum = text_sum + text.detach().sum(), mel_sum + mel.detach().sum()
    norm = fabric.clip_gradients(model, optimizer, max_norm=phase.clip_norm, error_if_nonfinite=False)
    mel_ce, text_ce = float(mel_sum) / max(1, mel_count), float(text_sum) / max(1, text_count)
    if not (math.isfinite(mel_ce) and math.isfinite(text_ce) and math.isfinite(float(norm))):
        names = ", ".join(codes.clips[i].id for i in clips)
        raise UserError(
            f"step {step + 1}: the loss is not a finite number (mel CE {mel_ce}, text CE {text_ce}) on the clips"
            f" {names}; lower lr or leave these clips out. The last state before it is kept."
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return mel_ce, text_ce, mel_count + text_count


def _row(optimizer, mel_ce: float, text_ce: float, rate: float) -> Row:
    memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss
    return {
        "train/mel_ce": mel_ce,
        "train/text_ce": text_ce,
        "lr": optimizer.param_groups[0]["lr"],
        "tokens_per_second": rate,
        "memory_gib": memory / 2**30,
    }


@contextmanager
def _signals():
    """Collects SIGTERM and SIGINT, so that a step ends and its state is saved; a second one kills."""
    caught: list[int] = []

    def handler(number, _frame):
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    old = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, previous in old.items():
            signal.signal(number, previous)


@contextmanager
def _progress(steps: int):
    """A bar with step, mel CE, best and time left; silent where there is no terminal."""
    columns = [
        TextColumn("step {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=steps, state="")

        def show(run: Progressed, mel_ce: float) -> None:
            progress.update(task, completed=run.step, state=f"mel CE {mel_ce:.3f} best {run.best_mel_ce:.3f}")

        yield show
