"""How far a training has come: what is saved of it in every state, and the bar on the terminal."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from voicetune.params.training import Phase

Show = Callable[["Progress", float], None]
"""Shows the progress and the mel CE of the last step."""


@dataclass
class Progress:
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

    def add_evaluation(self, mel_ce: float, text_ce: float, score: float) -> bool:
        """Count an evaluation of the current step; returns whether its model is the best so far."""
        if self.step == 0:
            self.start_mel_ce = mel_ce
        is_best = score < self.best_score
        self.worse = 0 if is_best else self.worse + 1
        if is_best:
            self.best_step, self.best_score = self.step, score
            self.best_mel_ce, self.best_text_ce = mel_ce, text_ce
        return is_best

    def end_if_due(self, phase: Phase, steps: int, mel_ce: float) -> None:
        """Set `ended` if the phase is to end with this evaluation; `steps` is the number of steps of the phase."""
        if phase.target_mel_ce is not None and mel_ce <= phase.target_mel_ce:
            self.ended = "target reached"
        elif phase.patience is not None and self.worse >= phase.patience:
            self.ended = "patience"
        elif self.step == steps:
            self.ended = "all steps"


class TokenRate:
    """Measures how many tokens a second are trained on, from `tokens` at its making on."""

    def __init__(self, tokens: int):
        self._tokens, self._since = tokens, time.monotonic()

    def read(self, tokens: int) -> float:
        """Tokens a second since the last reading; `tokens` is how many there are now."""
        now = time.monotonic()
        rate = (tokens - self._tokens) / (now - self._since)
        self._tokens, self._since = tokens, now
        return rate


@contextmanager
def show_bar(steps: int, is_shown: bool) -> Iterator[Show]:
    """Show a bar with step, mel CE, best mel CE and time left; nothing if there is no terminal.

    Yields:
        a function that updates the bar with the progress and the mel CE of the last step.
    """
    columns = [
        TextColumn("step {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    ]
    with Bar(*columns, transient=True, disable=not is_shown) as bar:
        task = bar.add_task("", total=steps, state="")

        def update(run: Progress, mel_ce: float) -> None:
            bar.update(task, completed=run.step, state=f"mel CE {mel_ce:.3f} best {run.best_mel_ce:.3f}")

        yield update
