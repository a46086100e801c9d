"""Run a training in forked processes and restart them when one dies, with torchrun's elastic agent (Linux).

The stage's process is the agent. It imports everything but never uses a GPU. So it can fork its children at
once, and fork new ones after a CUDA error, from which a process cannot recover. On several nodes, `torchrun`
is the agent, and this file only runs the work.
"""

import ctypes
import logging
import os
import signal
import sys
import tempfile
import uuid

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from voicetune.errors import Stopped, UserError
from voicetune.training import signals
from voicetune.training.agent import Work

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


def run(work: Work, devices: int, restarts: int) -> list[str | None]:
    """Run `work` in one process per device. When one process dies, start all of them again in new processes.

    Returns:
        for each process, the sentence of its UserError, or None.

    Raises:
        UserError: the restarts are used up, or a signal came.
        RuntimeError: this process has used CUDA, which does not survive a fork.
    """
    if torch.cuda.is_initialized():
        raise RuntimeError(_CUDA_TOO_EARLY)
    os.environ.update(_OWN_STORES | _COUNTED_WITHOUT_CUDA)
    _silence("torch.distributed.elastic", "torch.multiprocessing")  # the messages below report what happened
    with tempfile.TemporaryDirectory(prefix="voicetune-") as logs:
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=devices, run_id=uuid.uuid4().hex, rdzv_backend="c10d",
            rdzv_endpoint="localhost:0", max_restarts=restarts, monitor_interval=_MONITOR_SECONDS,
            start_method="fork", logs_specs=DefaultLogsSpecs(log_dir=logs),
        )  # fmt: skip
        sys.stdout.flush()  # a forked child would write the buffered text a second time
        try:
            ended = elastic_launch(config, _process)(work)
        except SignalException as error:
            raise signals.stopped(signal.Signals(error.sigval).name) from None
        except ChildFailedError as error:
            raise signals.given_up(_described(error)) from None
    return list(ended.values())


def _silence(*packages: str) -> None:
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(packages):
            logging.getLogger(name).setLevel(logging.CRITICAL)


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
