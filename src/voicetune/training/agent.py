"""Run a training in child processes and restart them when one dies, with torchrun's elastic agent.

The stage's process is the agent. It imports everything but never uses a GPU. So it can fork its children at
once, and fork new ones after a CUDA error, from which a process cannot recover. On several nodes, `torchrun`
is the agent, and this file only runs the work.
"""

import ctypes
import logging
import math
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from voicetune.errors import Stopped, UserError

_MONITOR_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
# Each restart gets its own store. With a shared store, a restarted process could read the address of a dead process and
# hang (pytorch/pytorch#135712).
_OWN_STORES = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}

# LaunchConfig counts the GPUs. If it counted them through CUDA, the processes forked afterwards could not use CUDA.
# With this setting, torch counts them through NVML.
_COUNTED_WITHOUT_CUDA = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
_CUDA_TOO_EARLY = (
    "the GPU was used before the training processes were started, so they cannot use it;"
    " use the GPU only in the function that trains."
)

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
        UserError: the work raised it; the restarts are used up; a signal came; or `num_nodes` is more than 1 and
            torchrun did not start this process.
        RuntimeError: this process has used CUDA, which does not survive a fork.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return work()
    if num_nodes > 1:
        raise UserError(
            f"num_nodes is {num_nodes}: start this stage with torchrun on every node (docs/several-gpus.md),"
            " or set num_nodes: 1 in params.yaml."
        )
    if torch.cuda.is_initialized():
        raise RuntimeError(_CUDA_TOO_EARLY)
    os.environ.update(_OWN_STORES | _COUNTED_WITHOUT_CUDA)
    _silence("torch.distributed.elastic", "torch.multiprocessing")  # the messages below report what happened
    with tempfile.TemporaryDirectory(prefix="voicetune-") as logs:
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=devices, run_id=uuid.uuid4().hex, rdzv_backend="c10d",
            rdzv_endpoint="localhost:0", max_restarts=restarts + halvings, monitor_interval=_MONITOR_SECONDS,
            start_method="fork", logs_specs=DefaultLogsSpecs(log_dir=logs),
        )  # fmt: skip
        _launch(config, work)


def _launch(config: LaunchConfig, work: Work) -> None:
    """Start the processes, and wait for their end. See `run` for what it raises."""
    sys.stdout.flush()  # a forked child would write the buffered text a second time
    try:
        ended = elastic_launch(config, _process)(work)
    except SignalException as error:
        name = signal.Signals(error.sigval).name
        raise UserError(f"stopped by {name}; run the same command again: it resumes from the last state.") from None
    except ChildFailedError as error:
        raise UserError(f"given up after {_described(error)}; run the same command to try again.") from None
    for sentence in ended.values():
        if sentence is not None:
            raise UserError(sentence)


def _silence(*packages: str) -> None:
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(packages):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def halvings(batch_size: int) -> int:
    """How often a batch can be halved until each part is a single clip."""
    return math.ceil(math.log2(batch_size))


def _process(work: Work) -> str | None:
    """Run the work in a forked process; returns the sentence of its UserError, or None."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # replaces the agent's handler, which the fork inherits
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform == "linux":
        # Training must not go on after the stage's process has died.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if torch.cuda.is_available() and torch.cuda._is_in_bad_fork():
        return _CUDA_TOO_EARLY
    try:
        work()
    except Stopped as error:
        sys.exit(str(error))  # the agent is shutting down and reads no return value
    except UserError as error:
        return str(error)
    return None


def _described(error: ChildFailedError) -> str:
    _, failure = error.get_first_failure()
    if failure.exitcode < 0:
        return f"{failure.signal_name()} ended the training"
    return "the training failed: " + " ".join(str(failure.message).split())[:300]
