"""A training in processes of its own, brought up again when one of them dies: torchrun's elastic agent.

The stage's process is the agent. It has imported everything and touched no GPU, so that its child is
there at once, and again after a CUDA error, which no process survives. Under `torchrun`, on several
nodes, that one is the agent, and this file only runs the work.
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
# A store of its own for each restart. In a shared one the addresses of the dead stand where those of fresh processes
# are about to: who looks too early calls a dead one, or waits for its call (pytorch/pytorch#135712).
_OWN_STORES = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}

# LaunchConfig counts the GPUs. By CUDA's own count the processes that are forked afterwards could not use them.
_COUNTED_WITHOUT_CUDA = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
_CUDA_TOO_EARLY = (
    "something used CUDA before the training's processes were forked, and none of them could use it then;"
    " let only the work itself, in its own process, ask torch for a GPU."
)

Work = Callable[[], None]


def attempt() -> str:
    """A name for this process's run of the work: the same in all its ranks, another after a restart."""
    launch = os.environ.get("TORCHELASTIC_RUN_ID", str(os.getpid()))
    return f"{launch}.{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def run(work: Work, devices: int, num_nodes: int, restarts: int, halvings: int) -> None:
    """Run `work` in one process a device, again from the start in fresh ones whenever one dies.

    Args:
        work: goes on from what it finds on the disk. A UserError of its own is the end, not a reason to restart.
        restarts: how often, after that it is given up.
        halvings: how many restarts more, for batches that did not fit into memory.

    Raises:
        UserError: of the work; or given up; or a signal came.
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
    _silence("torch.distributed.elastic", "torch.multiprocessing")  # what happened is said below
    with tempfile.TemporaryDirectory(prefix="voicetune-") as logs:
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=devices, run_id=uuid.uuid4().hex, rdzv_backend="c10d",
            rdzv_endpoint="localhost:0", max_restarts=restarts + halvings, monitor_interval=_MONITOR_SECONDS,
            start_method="fork", logs_specs=DefaultLogsSpecs(log_dir=logs),
        )  # fmt: skip
        sys.stdout.flush()  # or the child would write it a second time
        try:
            ended = elastic_launch(config, _process)(work)
        except SignalException as error:
            name = signal.Signals(error.sigval).name
            raise UserError(f"stopped by {name}; run the same command again: it goes on from the last state.") from None
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
    """How often a batch can be halved before each clip is alone."""
    return math.ceil(math.log2(batch_size))


def _process(work: Work) -> str | None:
    """What a fresh process does: the work; returns the sentence of its UserError."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the agent's, which it was born with
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody trains on behind a dead stage
    if torch.cuda.is_available() and torch.cuda._is_in_bad_fork():
        return _CUDA_TOO_EARLY
    try:
        work()
    except Stopped as error:
        sys.exit(str(error))  # the agent is on its way out and takes no answer
    except UserError as error:
        return str(error)
    return None


def _described(error: ChildFailedError) -> str:
    _, failure = error.get_first_failure()
    if failure.exitcode < 0:
        return f"{failure.signal_name()} ended the training"
    return "the training failed: " + " ".join(str(failure.message).split())[:300]
