"""A phase's state to resume from: its last checkpoints and the best weights. No half-written or damaged file is used.

A state folder belongs to one phase with one set of parameters, data, parent model, devices and code. Its name holds
a hash of them. It lies outside DVC's outs, survives a crash and `dvc exp run --temp`, and is locked while a training
uses it.

The folder keeps the last two states. Each has step-<n>.pt (weights, optimizer state, curves), best-<m>.pt (the best
weights up to then), and step-<n>.json, its manifest. The manifest is written last and holds the size and the SHA-256
of both. A state counts only if its files match its manifest. The best weights can be newer than the last state; the
next manifest then names them. If the training is killed before that, it resumes from the last state and makes them
again.
"""

import errno
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from voicetune import moving
from voicetune.errors import UserError
from voicetune.training import durable, manifest

_KEPT = 2  # states; the second serves if the last one is damaged
_SPARE_BYTES = 50_000_000


class State:
    """The checkpoints of one training. `save` copies the values and returns; a background thread writes them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future | None = None
        self._best_entry: dict[str, Any] | None = None
        self._copy: Any = None  # the copy of the last state; the next state is copied into its memory

    def newest(self) -> int | None:
        """Find the newest intact state and return its step. Newer, damaged states lose their manifests."""
        self.flush()
        for step, path in manifest.find(self.folder):
            damaged, found = [path.name], manifest.read(path)
            if found is not None:
                damaged = [name for name, one in found.files.items() if not manifest.is_intact(self.folder / name, one)]
            if found is not None and not damaged:
                self._best_entry = found.files[manifest.best_name(found.best_step)].model_dump()
                return step
            print(f"{self.folder / damaged[0]} is damaged; resuming from an earlier state, or starting again")
            path.unlink()  # otherwise `_tidy` would count it among the states to keep
        return None

    def read(self, step: int) -> dict[str, Any]:
        """Read the saved state of a step, with its tensors on the CPU."""
        return torch.load(self.folder / manifest.state_name(step), map_location="cpu", weights_only=True)

    def save(self, state: dict[str, Any], best: dict[str, Tensor] | None) -> None:
        """Save a state and, if given, the best weights, which belong to the state's `best_step`.

        Waits until the previous write has ended.

        Args:
            best: the whole weights; None if this state is not the best so far.

        Raises:
            UserError: this state does not fit on the disk, or the previous one could not be written.
        """
        self.flush()
        self._check_room(_count_bytes(state) + _count_bytes(best or state["weights"]))
        self._copy = copied = _copy_to_cpu(state, self._copy)
        whole = (
            copied["weights"] if best is state["weights"] else _copy_to_cpu(best)
        )  # copied only once if they are the same
        self._pending = self._writer.submit(self._write, copied, whole)

    def save_best(self, step: int, best: dict[str, Tensor]) -> None:
        """Save the best weights without a state. The next state names them in its `best_step`.

        Waits until the previous write has ended.

        Raises:
            UserError: they do not fit on the disk, or the previous write failed.
        """
        self.flush()
        self._check_room(_count_bytes(best))
        copied = _copy_to_cpu(best, (self._copy or {}).get("weights"))
        self._pending = self._writer.submit(self._write_best, step, copied)

    @contextmanager
    def flushed(self) -> Iterator[None]:
        """Wait at the end of the block, also after an exception, until everything saved in it is on the disk."""
        try:
            yield
        finally:
            self.flush()

    def flush(self) -> None:
        """Wait until the last save is on the disk.

        Raises:
            UserError: it could not be written; the earlier states are intact.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.result()
        except OSError as error:
            why = "the disk is full" if error.errno == errno.ENOSPC else str(error)
            raise UserError(
                f"{self.folder} cannot be written ({why}); make room and run this again:"
                " it resumes from the last state, and the best model is intact."
            ) from None

    def best(self, step: int) -> dict[str, Tensor]:
        """Load the best weights that were saved with `best_step == step`."""
        self.flush()
        return torch.load(self.folder / manifest.best_name(step), map_location="cpu", weights_only=True)

    def _write(self, state: dict[str, Any], best: dict[str, Tensor] | None) -> None:
        """Write best weights, state and manifest, in this order. Then remove files that no kept manifest names."""
        step, best_step = state["run"]["step"], state["best_step"]
        if best is not None:
            self._write_best(best_step, best)
        entries = {manifest.state_name(step): write_beside(self.folder / manifest.state_name(step), state)}
        manifest.write(self.folder, step, best_step, {**entries, manifest.best_name(best_step): self._best_entry})
        self._tidy()

    def _write_best(self, step: int, best: dict[str, Tensor]) -> None:
        self._tidy()  # makes room: removes earlier best weights that no state names
        self._best_entry = write_beside(self.folder / manifest.best_name(step), best)

    def _tidy(self) -> None:
        """Keep the newest states. Remove older manifests, and every .pt file that no kept manifest names."""
        found = [path for _, path in manifest.find(self.folder)]
        keep, gone = found[:_KEPT], found[_KEPT:]
        named = {name for path in keep if (one := manifest.read(path)) for name in one.files}
        for path in gone:
            moving.drop(path)
        for path in self.folder.glob("*.pt"):
            if path.name not in named:
                moving.drop(path)

    def _check_room(self, one: int) -> None:
        """Check the free space: before the first state for all that will lie here at once, later for one write."""
        needed = one if manifest.find(self.folder) else (_KEPT + 1) * one
        free = shutil.disk_usage(self.folder).free
        if free < needed + _SPARE_BYTES:
            raise UserError(
                f"{self.folder} has {free / 1e9:.1f} GB free and the state of this training needs"
                f" {(needed + _SPARE_BYTES) / 1e9:.1f} GB; make room and run this again: nothing is lost."
            )


def write_beside(path: Path, value: Any) -> dict[str, int | str]:
    """Save a value with torch.save; `path` holds the complete file, or stays as it was.

    Returns:
        the file's `bytes` and `sha256`.
    """
    with durable.replacing(path) as file:
        torch.save(value, cast(IO[bytes], file))
    return file.entry()


def _copy_to_cpu(value: Any, old: Any = None) -> Any:
    """Copy a value to the CPU, so that the training no longer changes it.

    Tensors are copied into those of `old`, an earlier copy that is no longer needed, because filling new memory takes
    several times as long.
    """
    if isinstance(value, Tensor):
        if isinstance(old, Tensor) and (old.shape, old.dtype) == (value.shape, value.dtype):
            return old.copy_(value.detach())
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        places = old if isinstance(old, dict) else {}
        return {name: _copy_to_cpu(part, places.get(name)) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copy_to_cpu(part) for part in value)
    return value


def _count_bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(_count_bytes(part) for part in parts)
