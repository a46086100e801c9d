"""`voicetune sweep`: plan the trials, run them, show a table that grows, and go on where an earlier run stopped."""

import os
import signal
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from voicetune import engine, files, terminal
from voicetune.device import choose_device
from voicetune.errors import UserError, shown
from voicetune.params import reading, whole
from voicetune.params.unlisted import Unlisted
from voicetune.sweep import running, searching, trials, values
from voicetune.sweep.running import Order
from voicetune.sweep.trials import Trial
from voicetune.training import state_folders


@dataclass(frozen=True)
class Sweep:
    """What is tried. count: of trials; None means every combination. threads: of the CPU, for each trial."""

    name: str
    spaces: Sequence[values.Space]
    count: int | None
    seed: int
    target: str
    prune: bool
    parallel: int
    threads: int

    @property
    def folder(self) -> Path:
        return trials.ROOT / self.name

    def plan(self) -> dict[str, object]:
        """What must stay the same while the sweep goes on. The number of trials may grow."""
        return {
            "values": [_told(space) for space in self.spaces], "mode": "grid" if self.count is None else "search",
            "seed": self.seed, "target": self.target,
            "prune": self.prune, "threads": self.threads, "commit": trials.head(),
        }  # fmt: skip


def _told(space: values.Space) -> str:
    if isinstance(space, values.Choices):
        return f"{space.name}={','.join(space.values)}"
    low, high = (int(end) if space.whole else end for end in (space.low, space.high))
    return f"{space.name}={'log:' if space.log else ''}{low!r}..{high!r}"


def run(sweep: Sweep) -> None:
    """Run the trials that have not ended yet, and show all.

    Raises:
        UserError: what is asked for does not fit an earlier run of the sweep; a trial failed; or it was stopped.
    """
    if sweep.prune or sweep.count is not None:
        searching.optuna()
    unlisted, settings = reading.load(Unlisted), whole.load()
    gpus = settings.devices if choose_device(settings.device) == "cuda" else 0
    for name in trials.FILES:
        files.check_own(sweep.folder / name)
    with state_folders.locked(sweep.folder):
        plan = sweep.plan()
        trials.begin(sweep.folder, plan)
        (sweep.folder / trials.STOP).unlink(missing_ok=True)
        ended = [trial for trial in trials.read(sweep.folder) if _is_planned(sweep, trial)]
        _check_count(sweep, ended)
        with engine.calling(running.run, unlisted, cores=sweep.threads, gpus=gpus) as call:
            found, stopped = _run_all(sweep, str(plan["commit"]), ended, call)
    _tell_end(sweep, found, stopped)


def _check_count(sweep: Sweep, ended: Sequence[Trial]) -> None:
    """Raise UserError: a search is to have fewer trials than it has already."""
    most = max((trial.number for trial in ended), default=0)
    if sweep.count is not None and most > sweep.count:
        raise UserError(
            f"sweep {sweep.name} has trial {most} already, and --trials is {sweep.count}; give {most} or more, or"
            " another name."
        )


def _is_planned(sweep: Sweep, trial: Trial) -> bool:
    """Whether a trial that was written down is one of this sweep's. The file may have been edited or damaged."""
    if sweep.count is not None:
        return trial.number >= 1 and set(trial.values) == {space.name for space in sweep.spaces}
    every = values.grid(sweep.spaces)
    return 1 <= trial.number <= len(every) and trial.values == every[trial.number - 1]


def _run_all(sweep: Sweep, commit: str, ended: list[Trial], call: Callable[[Order], Trial]) -> tuple[list[Trial], bool]:
    """Run what is left, `parallel` trials at a time; returns all trials, and whether a signal stopped the sweep."""
    found, stopped = list(ended), False
    waiting: dict[Future[Trial], Order] = {}
    orders = _orders(sweep, commit, found)
    stop = _Stop(sweep.folder / trials.STOP)
    with ThreadPoolExecutor(sweep.parallel) as pool, _live() as show, stop:
        show(_table(sweep, found, []))
        while True:
            while len(waiting) < sweep.parallel and not stop.asked and (order := next(orders, None)):
                waiting[pool.submit(call, order)] = order
                show(_table(sweep, found, list(waiting.values())))
            if not waiting:
                break
            for future in wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED).done:
                order = waiting.pop(future)
                trial = _result(future, order)
                if trial.why == running.STOPPED:
                    stopped = True
                    continue
                trials.add(sweep.folder, trial)
                if trial.ended == "failed" and sweep.count is not None:
                    trials.add_proposed(sweep.folder, trial.number, {})  # it may have failed because of its values
                found.append(trial)
                show(_table(sweep, found, list(waiting.values())))
                if not terminal.console.is_terminal:
                    print(shown(_line(sweep, trial)), flush=True)
    return found, stopped or stop.asked


def _result(future: "Future[Trial]", order: Order) -> Trial:
    try:
        return future.result()
    except UserError as error:
        why = str(error)
    except Exception as error:  # one trial does not end the others
        why = f"{type(error).__name__}: {error}"
    return Trial(order.number, order.values, "failed", [], 0.0, why)


def _orders(sweep: Sweep, commit: str, found: list[Trial]) -> Iterator[Order]:
    """The trials that are left. What a search proposes depends on those in `found`, which grows meanwhile."""
    propose = partial(_propose, sweep, trials.read_proposed(sweep.folder))
    known = {trial.number for trial in found if trial.ended != "failed"}
    every = values.grid(sweep.spaces) if sweep.count is None else None
    for number in range(1, (len(every) if every is not None else sweep.count or 0) + 1):
        if number in known:
            continue
        done = [trial for trial in found if trial.ended != "failed" and trial.curve]  # a curve may be empty
        chosen = every[number - 1] if every is not None else propose(number, done)
        yield Order(
            sweep.name, number, chosen, commit, sweep.target, sweep.threads, tuple(done) if sweep.prune else None
        )  # fmt: skip


def _propose(sweep: Sweep, before: dict[int, dict[str, str]], number: int, done: Sequence[Trial]) -> dict[str, str]:
    """The values of a search's trial: what was proposed before it was stopped, or a new proposal."""
    chosen = before.get(number)
    if chosen is None or set(chosen) != {space.name for space in sweep.spaces}:
        chosen = searching.suggest(sweep.spaces, done, number, sweep.seed)
        trials.add_proposed(sweep.folder, number, chosen)
    return chosen


class _Stop:
    """Ctrl-C and SIGTERM write the file that tells every trial, here and on other machines, to stop.

    So does an error of the sweep itself, such as a full disk: nobody would write down how the trials end.
    """

    def __init__(self, path: Path):
        self.path, self.asked = path, False
        self._before: dict[int, Any] = {}

    def _ask(self, *_: object) -> None:
        self.asked = True
        self.path.touch()

    def __enter__(self) -> "_Stop":
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind:
            with suppress(OSError):
                self.path.touch()
        for number, handler in self._before.items():
            signal.signal(number, handler)


@contextmanager
def _live() -> Iterator[Callable[[Table], None]]:
    """Yields a function that shows a table in place on a terminal, and nothing elsewhere."""
    if not terminal.console.is_terminal:
        yield lambda table: None
        return
    with Live(console=terminal.console, auto_refresh=False) as live:
        yield lambda table: live.update(table, refresh=True)


def _table(sweep: Sweep, found: Sequence[Trial], running_now: Sequence[Order]) -> Table:
    """The trials, the best first, then those that run."""
    table = Table(title=f"sweep {sweep.name}: validation mel CE, lower is better", title_justify="left")
    names = [space.name for space in sweep.spaces]
    for heading in ("experiment", *names, "mel CE", "steps", "minutes", "state"):
        table.add_column(heading, overflow="fold")
    for trial in sorted(found, key=lambda one: (one.ended != "done", one.best is None, one.best or 0.0, one.number)):
        table.add_row(
            trials.name_of(sweep.name, trial.number), *(trial.values[name] for name in names),
            "" if trial.best is None else f"{trial.best:.4f}", str(trial.curve[-1][0]) if trial.curve else "",
            f"{trial.seconds / 60:.1f}", escape(shown(trial.ended if not trial.why else f"{trial.ended}: {trial.why}")),
        )  # fmt: skip
    for order in running_now:
        table.add_row(order.name, *(order.values[name] for name in names), "", "", "", "running")
    return table


def _line(sweep: Sweep, trial: Trial) -> str:
    told = " ".join(f"{key}={value}" for key, value in trial.values.items())
    best = "" if trial.best is None else f", mel CE {trial.best:.4f}"
    why = f": {trial.why}" if trial.why else ""
    return f"{trials.name_of(sweep.name, trial.number)} ({told}) {trial.ended}{best}{why}"


def _tell_end(sweep: Sweep, found: Sequence[Trial], stopped: bool) -> None:
    """Print the table and what to do next.

    Raises:
        UserError: the sweep was stopped, or a trial failed.
    """
    if not terminal.console.is_terminal:
        terminal.console.print(_table(sweep, found, []))
    done = [trial for trial in found if trial.ended == "done" and trial.best is not None]
    if done:
        best = min(done, key=lambda one: (one.best or 0.0, one.number))
        middle = statistics.median(trial.best or 0.0 for trial in done)
        print(f"best: {trials.name_of(sweep.name, best.number)}, mel CE {best.best:.4f} (median {middle:.4f});"
              f" `dvc exp apply {trials.name_of(sweep.name, best.number)}` takes it over")  # fmt: skip
    if stopped:
        raise UserError("stopped; the same command goes on from here.")
    if failed := sorted(trial.number for trial in found if trial.ended == "failed"):
        name = trials.name_of(sweep.name, failed[0])
        raise UserError(
            f"{len(failed)} of {len(found)} trials failed; {sweep.folder / trials.LOGS / name}.log says why."
            " The same command tries them again."
        )


def threads_for(parallel: int) -> int:
    """The cores that each of the trials gets that run at the same time on this machine."""
    return max(1, (os.cpu_count() or 1) // parallel)
