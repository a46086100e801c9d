"""Run one trial: `dvc exp run --temp` beside the workspace, its log, and its curve while it trains."""

import csv
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Literal

import psutil

from voicetune.sweep import guard, searching, trials
from voicetune.sweep.trials import Curve, Trial
from voicetune.training import state_folders

_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 120  # for a training that was asked to stop: it ends its step and writes its state
STOPPED = "stopped"
_BUSY = ("Unable to acquire lock", "is busy, it is being blocked by")  # two commands of DVC at the same moment
_TRIES = 60
_DVC = Path(__file__).with_name("own_queue.py")
_SHARED = "another training (process "  # two trials have the same phase 1; DVC's run cache has it when one has ended


@dataclass(frozen=True)
class Order:
    """What a trial needs.

    commit: that the sweep began from. done: trials that have ended, for the decision to prune; None if none is pruned.
    """

    sweep: str
    number: int
    values: dict[str, str]
    commit: str
    target: str
    threads: int
    done: tuple[Trial, ...] | None

    @property
    def name(self) -> str:
        return trials.name_of(self.sweep, self.number)


def run(order: Order) -> Trial:
    """Run a trial in the project's folder, which is the working directory. A second call for a trial does no harm.

    Returns:
        how it ended; `failed` with the reason `stopped` if the sweep was stopped.
    """
    began, tries = time.time(), 0
    log = trials.ROOT / order.sweep / trials.LOGS / f"{order.name}.log"
    end = partial(_ended, order, began)
    while True:
        if commit := trials.find_experiment(order.name, order.commit):  # also if it ended, and DVC could not say so
            trials.check_values(commit, order.name, order.values)
            trials.check_alone(commit, order.commit, order.name, order.values)
            return end("done", read_curve(commit, order.target))
        if _is_stopped(order):
            return end("failed", [], STOPPED)
        trials.check_start(order.commit)
        with log.open("a", encoding="utf-8", newline="\n") as file:
            before = file.tell()
            ended, curve, status = _run_once(order, file, began)
        if ended == "pruned":
            return end("pruned", curve)
        if ended == STOPPED:
            continue
        why = last_error(log, status, before)
        if _SHARED in why:
            time.sleep(random.uniform(10, 20))
        elif any(one in why for one in _BUSY) and (tries := tries + 1) < _TRIES:
            time.sleep(random.uniform(1, 5))  # what was trained is not lost: DVC's run cache or the state has it
        elif not trials.find_experiment(order.name, order.commit):
            return end("failed", curve, why)


def _ended(order: Order, began: float, how: Literal["done", "pruned", "failed"], curve: Curve, why: str = "") -> Trial:
    return Trial(order.number, order.values, how, curve, round(time.time() - began, 1), why)


def _is_stopped(order: Order) -> bool:
    return (trials.ROOT / order.sweep / trials.STOP).exists()


def _run_once(order: Order, log: IO[str], began: float) -> tuple[str, Curve, int]:
    """Run the experiment; returns how it ended, see `_watch`, its curve, and the status of the command.

    Args:
        began: the trial, in seconds since the epoch.
    """
    log.write(f"\ndvc {' '.join(_arguments(order))}\n")
    log.flush()
    process = subprocess.Popen(
        [sys.executable, guard.__file__, str(os.getpid()), sys.executable, "-P", str(_DVC), *_arguments(order)],
        stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": str(order.threads)},
    )  # fmt: skip
    killed: set[int] = set()
    try:
        ended, curve = _watch(process, order)
    finally:
        if process.poll() is None:  # the number of a process that has ended may be another one's by now
            killed = guard.end(process.pid)
    if ended == "pruned":
        state_folders.remove_of(state_folders.root(Path.cwd()), killed, began)
    return ended, curve, process.wait()


def _arguments(order: Order) -> list[str]:
    """For the command dvc."""
    changes = [part for key, value in order.values.items() for part in ("-S", f"{key}={value}")]
    return ["exp", "run", "--temp", "--name", order.name, *changes, order.target]


def _watch(process: subprocess.Popen, order: Order) -> tuple[str, Curve]:
    """Wait for the trial; returns `done`, `pruned` or `stopped`, and the curve as far as it was seen."""
    curve: Curve = []
    while process.poll() is None:
        time.sleep(_LOOK_SECONDS)
        place = guard.find_place(process.pid)
        if _is_stopped(order):
            _stop(process)
            return STOPPED, curve
        before = curve
        if place and guard.find_training(process.pid, phase_of(order.target)):  # before it, the curve is HEAD's
            curve = _read(place / curve_file(order.target)) or curve
        if order.done is not None and curve != before and searching.is_hopeless(order.done, curve):
            return "pruned", curve
    return "done", curve


def _stop(process: subprocess.Popen) -> None:
    """Ask the training to stop, so that it writes its state; kill it if it does not, and any other stage that is long.

    A training that begins only now is asked too. While no stage runs, DVC saves what a stage has made, which is not to
    be lost. On Windows nobody can be asked. There, Ctrl-C reaches the training by itself.
    """
    asked: set[int] = set()
    until = time.monotonic() + _PATIENCE_SECONDS
    while process.poll() is None:
        for one in guard.find_training(process.pid) if sys.platform != "win32" else ():
            if one.pid not in asked:
                asked.add(one.pid)
                until = time.monotonic() + _PATIENCE_SECONDS
                with suppress(psutil.Error):
                    one.terminate()
        if time.monotonic() > until and guard.has_stage(process.pid):
            guard.end(process.pid)
            return
        time.sleep(_LOOK_SECONDS / 4)


def curve_file(target: str) -> Path:
    """Where the phase that a target trains last writes its validation mel CE."""
    return Path("metrics", phase_of(target), "plots/metrics/validation/mel_ce.tsv")


def phase_of(target: str) -> str:
    """The phase that a target trains last."""
    return target if target == "train_phase1" else "train_phase2"


def read_curve(commit: str, target: str) -> Curve:
    """The curve of a trial that is done, from its experiment."""
    from dvc.api import DVCFileSystem

    path = curve_file(target).as_posix()
    return _points(DVCFileSystem(rev=commit).read_text(path, encoding="utf-8"))


def _read(path: Path) -> Curve:
    try:
        return _points(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):  # dvclive is writing it
        return []


def _points(text: str) -> Curve:
    return [(int(row["step"]), float(row["mel_ce"])) for row in csv.DictReader(text.splitlines(), delimiter="\t")]


def last_error(log: Path, status: int, begin: int = 0) -> str:
    """The last line of a log that names an error, or its last line. begin: the byte from which it is read."""
    text = log.read_bytes()[begin:].decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if line.lower().startswith("error:") and "failed to reproduce" not in line]
    return (named or lines or [f"exit status {status}"])[-1].removeprefix("error: ")[:300]
