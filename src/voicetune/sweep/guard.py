"""Run a command, and end it with all its children when the process that asked for it has died.

Usage: python guard.py COMMAND...

A worker that is killed leaves its children alive, and DVC leaves the training alive. That training would hold its
state, so the trial could not go on elsewhere.
"""

import os
import signal
import subprocess
import sys
import time

import psutil

_LOOK_SECONDS = 0.3


def main() -> int:
    parent = os.getppid()
    # The terminal sends Ctrl-C to the whole group. The training answers it; this process waits until all have ended.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = subprocess.Popen(sys.argv[1:])
    while process.poll() is None:
        if not _is_there(parent):
            end(process.pid)
        time.sleep(_LOOK_SECONDS)
    return process.returncode


def _is_there(parent: int) -> bool:
    return os.getppid() == parent if hasattr(os, "getpgid") else psutil.pid_exists(parent)


def end(pid: int) -> None:
    """Kill a process and all its children."""
    try:
        all_of_it = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in all_of_it:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(all_of_it, timeout=10)


if __name__ == "__main__":
    sys.exit(main())
