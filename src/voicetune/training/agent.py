"""Run a training in child processes and restart them when one dies: forked on Linux, elsewhere in a new process."""

import math
import os
import sys
from collections.abc import Callable

from voicetune.errors import UserError

Work = Callable[[], None]


def attempt() -> str:
    """Name this run of the work. All ranks of one run share the name; a restart gets a new one."""
    launch = os.environ.get("TORCHELASTIC_RUN_ID", str(os.getpid()))
    return f"{launch}.{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def run(work: Work, devices: int, num_nodes: int, restarts: int, halvings: int) -> None:
    """Run `work` in one process per device. When one process dies, start all of them again in new processes.

    Args:
        work: resumes from what it finds on the disk. If it raises a UserError, the run ends without a restart.
        restarts: how many restarts are allowed before the run is given up.
        halvings: how many more restarts are allowed, for batches that did not fit into memory.

    Raises:
        UserError: the work raised it; the restarts are used up; a signal came; `num_nodes` is more than 1 and torchrun
            did not start this process; or this system cannot train on several devices.
        RuntimeError: this process has used CUDA, which does not survive a fork.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return work()
    if num_nodes > 1:
        raise UserError(
            f"num_nodes is {num_nodes}: start this stage with torchrun on every node (docs/several-gpus.md),"
            " or set num_nodes: 1 in params.yaml."
        )
    if can_fork():
        from voicetune.training import forked

        sentences = forked.run(work, devices, restarts + halvings)
    elif devices > 1:
        raise UserError(f"devices is {devices}, but only Linux can train on several; set devices: 1 in params.yaml.")
    else:
        from voicetune.training import spawned

        sentences = [spawned.run(work, restarts + halvings)]
    for sentence in sentences:
        if sentence is not None:
            raise UserError(sentence)


def can_fork() -> bool:
    """Whether a process that has loaded torch may fork. Windows has no fork; on macOS, Metal does not survive one."""
    return sys.platform == "linux"


def halvings(batch_size: int) -> int:
    """How often a batch can be halved until each part is a single clip."""
    return math.ceil(math.log2(batch_size))
