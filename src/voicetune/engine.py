"""Applies a function to many items at once, in processes of this machine or on Ray (https://docs.ray.io).

Both engines give the same results, in the order of the items. Ray is an optional extra. Its workers may be on other
machines. They must see the project's folder under the same path, because the work reads and writes files there.
"""

import multiprocessing
import os
import pickle
import platform
import secrets
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from voicetune import files
from voicetune.errors import UserError
from voicetune.params.unlisted import Unlisted
from voicetune.parent import end_with_parent

T = TypeVar("T")
R = TypeVar("R")

_CACHE = Path(".cache")
_LONGEST_SOCKET = 107  # bytes that the path of a Unix socket may have
_SOCKET = "/ray-12345678/r/session_2026-11-28_07-25-07_123456_1234567/sockets/plasma_store"  # the longest of Ray's
_MOST = 61 if sys.platform == "win32" else 1024  # processes; Windows waits for no more at once
_RETRIES = 3  # times that an item is given to another worker because its worker was killed
_WAITING = 16  # items a core that Ray has at once: enough to keep it busy, and few enough for the memory
_STORE = 100 * 2**20  # bytes of shared memory for the results of a local cluster; a clip's are 100 kB
_DOCS = "see docs/cluster.md"
_ITEM = "VOICETUNE_RAY_ITEM"  # environment variable of what an item on Ray starts


def map_all(
    work: Callable[[T], R], items: Sequence[T], settings: Unlisted, *, processes: int | None = None, gpus: int = 0
) -> Iterator[R]:
    """Yield `work(item)` for each item, in their order.

    An item on Ray may have items itself: a trial of a sweep runs whole stages. Those are done on its machine, which
    would else wait for cores that it holds.

    Args:
        work: can be pickled. On Ray each worker keeps one copy, and an item whose worker was killed is given to
            another one, so a second call for the same item must do no harm.
        processes: of this machine, if the engine is local; None means `settings.jobs`.
        gpus: that a worker on Ray gets.

    Raises:
        UserError: `work` raises one; a process died; or Ray is not installed, cannot be reached, lacks a GPU, or has a
            worker that does not see this folder.
    """
    if settings.engine == "ray" and _ITEM not in os.environ:
        return _map_on_ray(work, items, settings, gpus)
    return _map_here(work, items, settings.jobs if processes is None else processes)


def _map_here(work: Callable[[T], R], items: Sequence[T], processes: int) -> Iterator[R]:
    processes = min(processes or os.cpu_count() or 1, len(items), _MOST)
    if processes <= 1:
        yield from map(work, items)
        return
    # spawn: a fork could copy the progress bar in the middle of what its thread does
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(processes, mp_context=context, initializer=_start_worker) as pool:
            yield from pool.map(work, items, chunksize=4)
    except BrokenProcessPool:
        raise UserError(
            "a process that prepared clips was killed, perhaps because memory ran out; set `jobs: 1` in params.yaml."
        ) from None


def _start_worker() -> None:
    """Ignore Ctrl-C, which the parent reports in one sentence, and exit if the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def _map_on_ray(work: Callable[[T], R], items: Sequence[T], settings: Unlisted, gpus: int) -> Iterator[R]:
    ray = _imported(settings.ray_address)
    with _cluster(ray, settings), _marker() as marker:
        most = _WAITING * _cores(ray, 1, gpus)
        task = _remote(ray, work, marker, 1, gpus)
        waiting: deque[Any] = deque()
        for item in items:
            waiting.append(task.remote(pickle.dumps(item)))
            if len(waiting) >= most:
                yield _result(ray, waiting.popleft())
        while waiting:
            yield _result(ray, waiting.popleft())


@contextmanager
def calling(work: Callable[[T], R], settings: Unlisted, *, cores: int = 1, gpus: int = 0) -> Iterator[Callable[[T], R]]:
    """Yields a function that does the work of one item and waits for it; several threads may call it at once.

    Args:
        work: see `map_all`. With the engine `local`, the thread that calls does it.
        cores, gpus: that an item gets on Ray. It waits until a worker has them.

    Raises:
        UserError: see `map_all`.
    """
    if settings.engine != "ray":
        yield work
        return
    ray = _imported(settings.ray_address)
    with _cluster(ray, settings), _marker() as marker:
        _cores(ray, cores, gpus)
        task = _remote(ray, work, marker, cores, gpus)
        yield lambda item: _result(ray, task.remote(pickle.dumps(item)))


def _remote(ray: Any, work: Callable[[T], R], marker: Path, cores: int, gpus: int) -> Any:
    """The work as a task of Ray, for a worker with so many cores and GPUs."""
    task = ray.remote(_task(pickle.dumps(work), str(marker), sys.path))
    return task.options(num_cpus=cores, num_gpus=gpus, max_retries=_RETRIES)


def _imported(address: str | None) -> Any:
    """Import Ray. It reads its environment now.

    Raises:
        UserError: it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:  # the cluster takes work from this process only; Ray's own token would lie in the home folder
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex())
    try:
        import ray
    except ImportError:
        raise UserError(
            "engine is ray, which is not installed; run `pip install -c requirements.lock ray`, or set engine: local."
        ) from None
    return ray


@contextmanager
def _cluster(ray: Any, settings: Unlisted) -> Iterator[None]:
    """Connect to a Ray cluster, or start one on this machine, which ends with the work."""
    address = settings.ray_address
    with tempfile.TemporaryDirectory(prefix="ray-", dir=_place(), ignore_cleanup_errors=True) as place:
        own = {
            "num_cpus": settings.jobs or os.cpu_count(),
            "object_store_memory": _STORE,
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
            "_temp_dir": f"{place}/r",  # which Ray opens to everybody; the folder around it stays closed
        }
        try:
            if address:
                _check_answer(address)
            ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **({} if address else own))
        except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            where = f"at {address} (ray_address)" if address else "on this machine"
            reason = str(error).strip().split("\n")[0].rstrip(".")[:200]
            raise UserError(f"no Ray cluster can be used {where}: {reason}; {_DOCS}, or set engine: local.") from None
        try:
            yield
        finally:
            ray.shutdown()


def _check_answer(address: str) -> None:
    """Raise OSError if nothing answers there. Ray itself would try for five minutes."""
    host, port = address.split(":")
    socket.create_connection((host, int(port)), timeout=10).close()


def _place() -> str | None:
    """The folder for what Ray writes: the project's .cache; None, the system's, if a socket's path got too long."""
    with files.writing(_CACHE):
        _CACHE.mkdir(exist_ok=True)
    inside = str(_CACHE.resolve())
    return inside if len(os.fsencode(inside + _SOCKET)) <= _LONGEST_SOCKET else None


@contextmanager
def _marker() -> Iterator[Path]:
    """A new empty file in the project's folder. A worker that does not see it works in another folder."""
    with tempfile.NamedTemporaryFile(prefix="engine-", dir=Path.cwd() / _CACHE) as file:
        yield Path(file.name)


def _cores(ray: Any, cores: int, gpus: int) -> int:
    """The cores of the cluster.

    Raises:
        UserError: none of its machines has so many cores and GPUs as an item needs, so nothing would ever be done.
    """
    there = ray.cluster_resources()
    if gpus and not there.get("GPU"):
        raise UserError(f"the Ray cluster has no GPU, but device is cuda; set device: cpu, or {_DOCS}.")
    if there.get("CPU", 0) < 1:
        raise UserError(f"the Ray cluster has no worker; start one with `ray start --address`, {_DOCS}.")
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(one.get("CPU", 0) >= cores and one.get("GPU", 0) >= gpus for one in machines):
        needs = f"{cores} cores" + (f" and {gpus} GPUs" if gpus else "")
        raise UserError(f"each item needs {needs}, but no Ray worker has so many; {_DOCS}.")
    return int(there["CPU"])


def _task(work: bytes, marker: str, path: list[str]) -> Callable[[bytes], tuple[bool, Any]]:
    """The function that runs on a Ray worker. Ray sends its code, because it is defined in a function.

    It imports this project only when it has seen the folder, so that it can say if the folder is not there. It returns
    whether the work was done; and the result, or what the user has to know.

    Args:
        path: where modules are looked for first.
    """
    item_of = _ITEM

    def task(item: bytes) -> tuple[bool, Any]:
        folder = os.path.dirname(os.path.dirname(marker))
        if not os.path.isfile(marker):
            return False, (
                f"a Ray worker on {platform.node()} does not see {folder}, which all machines of the cluster must"
                f" share under the same path; {_DOCS}."
            )
        os.chdir(folder)
        sys.path[:] = dict.fromkeys([*path, *sys.path])
        from voicetune import engine
        from voicetune.errors import UserError

        os.environ[item_of] = "1"
        try:
            return True, engine.load_work(work)(pickle.loads(item))
        except UserError as error:
            return False, str(error)

    return task


@lru_cache(maxsize=1)
def load_work(work: bytes) -> Any:
    """Load the work, once a worker."""
    return pickle.loads(work)


def _result(ray: Any, waiting: Any) -> Any:
    try:
        done, result = ray.get(waiting)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError):
        raise UserError(
            f"{_RETRIES + 1} Ray workers were killed one after the other at the same item, perhaps because memory ran"
            " out; give the workers more memory, or set engine: local."
        ) from None
    if not done:
        raise UserError(result)
    return result
