"""Run a command, and end it with all its children when the process that asked for it has died.

Usage: python guard.py PID COMMAND..., with the number of the process that asks.

A worker that is killed leaves its children alive, and DVC leaves the training alive. That training would hold its
state, so the trial could not go on elsewhere.
"""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

TEMPORARY = Path(".dvc/tmp/exps")

_LOOK_SECONDS = 0.3


def main() -> int:
    parent = int(sys.argv[1])
    born = _born(parent)
    # The terminal sends Ctrl-C to the whole group. The training answers it; this process waits until all have ended.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGTERM", "SIGHUP"):  # sent to the whole group, too; what is to end is decided by the process above
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: None)  # unlike SIG_IGN, the children do not inherit it
    process = subprocess.Popen(sys.argv[2:])
    while process.poll() is None:
        if born is None or _born(parent) != born:
            end(process.pid)
        time.sleep(_LOOK_SECONDS)
    return process.returncode


def _born(pid: int) -> float | None:
    """When a process began, which tells it from a later one with its number; None if it has ended."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def end(pid: int) -> set[int]:
    """Kill a process and all its children, and remove the temporary workspace that they work in.

    Returns:
        the numbers of the processes.
    """
    try:
        all_of_it = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return set()
    place = find_place(pid)
    for one in all_of_it:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(all_of_it, timeout=10)
    if place:
        shutil.rmtree(place, ignore_errors=True)
    return {one.pid for one in all_of_it}


def find_place(pid: int) -> Path | None:
    """The temporary workspace of a running experiment: where the stage's process works."""
    for one in _children(pid):
        try:
            place = Path(one.cwd())
        except psutil.Error:
            continue
        if place.is_relative_to(TEMPORARY.resolve()):
            return place
    return None


def find_training(pid: int, phase: str = "") -> list[psutil.Process]:
    """The processes below another one that run train.py, with this phase if one is given."""
    return [
        one
        for one, parts in _commands(pid)
        if any(part.endswith("train.py") for part in parts) and (not phase or phase in parts)
    ]


def has_stage(pid: int) -> bool:
    """Whether one of the processes below another one runs the file of a stage, as dvc.yaml names it."""
    return any(part.startswith("src/") and part.endswith(".py") for _, parts in _commands(pid) for part in parts)


def _commands(pid: int) -> Iterator[tuple[psutil.Process, list[str]]]:
    """The processes below another one, with the parts of their commands."""
    for one in _children(pid):
        with suppress(psutil.Error):
            yield one, one.cmdline()


def _children(pid: int) -> list[psutil.Process]:
    """All processes below another one; none if it has ended."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


if __name__ == "__main__":
    sys.exit(main())
