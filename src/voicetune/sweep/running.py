"""Run one trial: `dvc exp run --temp` beside the workspace, its log, and its curve while it trains."""

import csv
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from voicetune.sweep import guard, searching, trials
from voicetune.sweep.trials import Curve, Trial

_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 120  # for a training that was asked to stop: it ends its step and writes its state
STOPPED = "stopped"
_BUSY = "Unable to acquire lock"  # two experiments begin or end at the same moment, and DVC does not wait
_TRIES = 60


@dataclass(frozen=True)
class Order:
    """What a trial needs. done: trials that have ended, for the decision to prune; None if nothing is pruned."""

    sweep: str
    number: int
    values: dict[str, str]
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
    began, folder = time.time(), trials.ROOT / order.sweep
    log = folder / trials.LOGS / f"{order.name}.log"
    if commit := trials.find_experiment(order.name):  # it ended, but nobody wrote that down
        trials.check_values(commit, order.name, order.values)
        trials.check_alone(commit, order.name, order.values)
        return Trial(order.number, order.values, "done", read_curve(order), 0.0)
    for _ in range(_TRIES):
        with log.open("a", encoding="utf-8", newline="\n") as file:
            before = file.tell()
            ended, curve, status = _run_once(order, file)
        why = last_error(log, status, before) if status else ""
        if ended != "done" or _BUSY not in why:
            break
        time.sleep(random.uniform(1, 5))  # what was trained is not lost: DVC's run cache or the state has it
    seconds = round(time.time() - began, 1)
    if ended == "done" and not status and (commit := trials.find_experiment(order.name)):
        trials.check_alone(commit, order.name, order.values)
        return Trial(order.number, order.values, "done", read_curve(order), seconds)
    if ended == "pruned":
        return Trial(order.number, order.values, "pruned", curve, seconds)
    why = STOPPED if ended == STOPPED or (folder / trials.STOP).exists() else why
    return Trial(order.number, order.values, "failed", curve, seconds, why)


def _run_once(order: Order, log: IO[str]) -> tuple[str, Curve, int]:
    """Run the experiment; returns how it ended, see `_watch`, its curve, and the status of the command."""
    log.write(f"\n{' '.join(_command(order)[2:])}\n")
    log.flush()
    process = subprocess.Popen(
        [sys.executable, guard.__file__, str(os.getpid()), *_command(order)], stdout=log, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": str(order.threads)},
    )  # fmt: skip
    try:
        ended, curve = _watch(process, order, trials.ROOT / order.sweep)
    finally:
        if process.poll() is None:  # the number of a process that has ended may be another one's by now
            guard.end(process.pid)
    return ended, curve, process.returncode


def _command(order: Order) -> list[str]:
    changes = [part for key, value in order.values.items() for part in ("-S", f"{key}={value}")]
    return [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", order.name, *changes, order.target]


def _watch(process: subprocess.Popen, order: Order, folder: Path) -> tuple[str, Curve]:
    """Wait for the trial; returns `done`, `pruned` or `stopped`, and the curve as far as it was seen."""
    curve: Curve = []
    while process.poll() is None:
        time.sleep(_LOOK_SECONDS)
        place = guard.find_place(process.pid)
        if (folder / trials.STOP).exists():
            _stop(process)
            return STOPPED, curve
        before = curve
        if place and guard.find_training(process.pid, phase_of(order.target)):  # before it, the curve is HEAD's
            curve = _read(place / curve_file(order.target)) or curve
        if order.done is not None and curve != before and searching.is_hopeless(order.done, curve):
            guard.end(process.pid)
            return "pruned", curve
    return "done", curve


def _stop(process: subprocess.Popen) -> None:
    """Ask the training to stop, so that it writes its state; kill it if it does not.

    On Windows nobody can be asked so. There, Ctrl-C reaches the training by itself.
    """
    for one in guard.find_training(process.pid) if sys.platform != "win32" else ():
        with suppress(psutil.Error):
            one.terminate()
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        guard.end(process.pid)


def curve_file(target: str) -> Path:
    """Where the phase that a target trains last writes its validation mel CE."""
    return Path("metrics", phase_of(target), "plots/metrics/validation/mel_ce.tsv")


def phase_of(target: str) -> str:
    """The phase that a target trains last."""
    return target if target == "train_phase1" else "train_phase2"


def read_curve(order: Order) -> Curve:
    """The curve of a trial that is done, from its experiment."""
    from dvc.api import DVCFileSystem

    commit = trials.find_experiment(order.name)
    path = curve_file(order.target).as_posix()
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
