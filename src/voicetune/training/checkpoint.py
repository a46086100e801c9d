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
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor

from voicetune import files
from voicetune.errors import UserError
from voicetune.shapes import Count, Plain, Record
from voicetune.training.place import root as root

_NAME = re.compile(r"train_phase[12]-[0-9a-f]{16}")  # the name of a state folder: the stage and `key`
_KEPT = 2  # states; the second serves if the last one is damaged
_SPARE_BYTES = 50_000_000
_LOCK_TRIES, _LOCK_SECONDS = 10, 0.1
_DAYS, _COUNT = 30, 8  # `tidy` removes unused states after so many days, and all but so many


def key(facts: dict[str, Any]) -> str:
    """Hash everything that a training's result depends on: the first 16 digits of the SHA-256."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the folder for this process. The lock ends with the process, however that ends.

    Raises:
        UserError: another process is training there; or the folder or its lock file is a link, through which this
            would write elsewhere; or the lock is no plain file.
    """
    path = folder / "lock"
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink() or path.is_symlink() or (path.exists() and not files.is_file(path)):
        raise UserError(f"{path} leads through a link, or is no plain file; remove it and run this again.")
    with path.open("a+") as file:
        if not _lock(file):
            file.seek(0)
            raise UserError(
                f"another training (process {file.read().strip() or 'unknown'}) uses {folder};"
                " wait for it or stop it, then run this again."
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock(file: IO) -> bool:
    """Try to take the lock for about a second, because a process that was just killed may still hold it."""
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(_LOCK_SECONDS)
    return False


class _Hashing:
    """Write to a file and hash the data on the way, so that the file need not be read again."""

    def __init__(self, file):
        self.file, self.digest, self.bytes = file, hashlib.sha256(), 0

    def write(self, data) -> int:
        self.digest.update(data)
        self.bytes += len(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


@contextmanager
def _beside(path: Path) -> Iterator[_Hashing]:
    """Write a temporary file, fsync it and rename it: a reader sees either the old file or the complete new one."""
    beside = path.with_name(path.name + ".part")
    try:
        beside.unlink(missing_ok=True)  # if it is a link, writing would follow it
        with beside.open("wb") as file:
            yield _Hashing(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    os.replace(beside, path)
    _sync_folder(path.parent)


def write_beside(path: Path, value: Any) -> dict[str, Any]:
    """Save a value with torch.save; `path` holds the complete file, or stays as it was.

    Returns:
        the file's `bytes` and `sha256`.
    """
    with _beside(path) as file:
        torch.save(value, cast(IO[bytes], file))
    return {"bytes": file.bytes, "sha256": file.digest.hexdigest()}


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


class State:
    """The checkpoints of one training. `save` copies the values and returns; a background thread writes them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future | None = None
        self._best_entry: dict[str, Any] | None = None
        self._copy: Any = None  # the copy of the last state; the next state is copied into its memory

    def load(self) -> dict[str, Any] | None:
        """Load the newest intact state, including its best weights; None if there is no state to resume from."""
        step = self.newest()
        return None if step is None else self.read(step)

    def newest(self) -> int | None:
        """Find the newest intact state and return its step. Newer, damaged states lose their manifests."""
        self.flush()
        for step, manifest in _manifests(self.folder):
            damaged, described = [manifest.name], _described(manifest)
            if described is not None:
                damaged = [name for name, one in described.files.items() if not _intact(self.folder / name, one)]
            if described is not None and not damaged:
                self._best_entry = described.files[self._best(described.best_step).name].model_dump()
                return step
            print(f"{self.folder / damaged[0]} is damaged; going on from an earlier state, or from the start")
            manifest.unlink()  # otherwise `_tidy` would count it among the states to keep
        return None

    def read(self, step: int) -> dict[str, Any]:
        """Read the saved state of a step, with its tensors on the CPU."""
        return torch.load(self._state(step), map_location="cpu", weights_only=True)

    def save(self, state: dict[str, Any], best: dict[str, Tensor] | None) -> None:
        """Save a state and, if given, the best weights, which belong to the state's `best_step`.

        Waits until the previous write has ended.

        Args:
            best: the whole weights; None if this state is not the best so far.

        Raises:
            UserError: this state does not fit on the disk, or the previous one could not be written.
        """
        self.flush()
        self._room(_bytes(state) + _bytes(best or state["gpt"]))
        self._copy = copied = _snapshot(state, self._copy)
        whole = copied["gpt"] if best is state["gpt"] else _snapshot(best)  # copied only once if they are the same
        self._pending = self._writer.submit(self._write, copied, whole)

    def save_best(self, step: int, best: dict[str, Tensor]) -> None:
        """Save the best weights without a state. The next state names them in its `best_step`.

        Waits until the previous write has ended.

        Raises:
            UserError: they do not fit on the disk, or the previous write failed.
        """
        self.flush()
        self._room(_bytes(best))
        copied = _snapshot(best, (self._copy or {}).get("gpt"))
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
                " it goes on from the last state, and the best model is intact."
            ) from None

    def best(self, step: int) -> dict[str, Tensor]:
        """Load the best weights that were saved with `best_step == step`."""
        self.flush()
        return torch.load(self._best(step), map_location="cpu", weights_only=True)

    def remove(self) -> None:
        self.flush()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, state: dict[str, Any], best: dict[str, Tensor] | None) -> None:
        """Write best weights, state and manifest, in this order. Then remove files that no kept manifest names."""
        step, best_file = state["run"]["step"], self._best(state["best_step"])
        if best is not None:
            self._write_best(state["best_step"], best)
        place = self._state(step)
        written = {place.name: write_beside(place, state), best_file.name: self._best_entry}
        with _beside(place.with_suffix(".json")) as file:
            file.write(json.dumps({"step": step, "best_step": state["best_step"], "files": written}).encode())
        self._tidy()

    def _write_best(self, step: int, best: dict[str, Tensor]) -> None:
        self._tidy()  # makes room: removes earlier best weights that no state names
        self._best_entry = write_beside(self._best(step), best)

    def _tidy(self) -> None:
        """Keep the newest states. Remove older manifests, and every .pt file that no kept manifest names."""
        found = [manifest for _, manifest in _manifests(self.folder)]
        keep, gone = found[:_KEPT], found[_KEPT:]
        named = {name for path in keep if (one := _described(path)) for name in one.files}
        for path in gone:
            path.unlink()
        for path in self.folder.glob("*.pt"):
            if path.name not in named:
                path.unlink()

    def _state(self, step: int) -> Path:
        return self.folder / f"step-{step}.pt"

    def _best(self, step: int) -> Path:
        return self.folder / f"best-{step}.pt"

    def _room(self, one: int) -> None:
        """Check the free space: before the first state for all that will lie here at once, later for one write."""
        needed = one if _manifests(self.folder) else (_KEPT + 1) * one
        free = shutil.disk_usage(self.folder).free
        if free < needed + _SPARE_BYTES:
            raise UserError(
                f"{self.folder} has {free / 1e9:.1f} GB free and the state of this training needs"
                f" {(needed + _SPARE_BYTES) / 1e9:.1f} GB; make room and run this again: nothing is lost."
            )


def _manifests(folder: Path) -> list[tuple[int, Path]]:
    """Steps and their manifests, the newest first."""
    matches = ((path, re.fullmatch(r"step-(\d{1,12})\.json", path.name)) for path in folder.iterdir())
    return sorted(((int(match[1]), path) for path, match in matches if match), reverse=True)


class _Entry(Record):
    bytes: int = Field(ge=0)
    sha256: str


class _Described(Record):
    """step-<n>.json."""

    step: Count
    best_step: Count
    files: dict[Plain, _Entry]

    @model_validator(mode="after")
    def _names_both(self):
        if not {f"step-{self.step}.pt", f"best-{self.best_step}.pt"} <= set(self.files):
            raise ValueError("should name the state and its best weights")
        return self


def _described(manifest: Path) -> _Described | None:
    """Read a manifest; None if it is damaged."""
    try:
        return _Described.model_validate_json(manifest.read_bytes()) if files.is_file(manifest) else None
    except (OSError, ValidationError):
        return None


def _intact(path: Path, entry: _Entry) -> bool:
    if not files.is_file(path) or path.stat().st_size != entry.bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


def _snapshot(value: Any, old: Any = None) -> Any:
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
        return {name: _snapshot(part, places.get(name)) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_snapshot(part) for part in value)
    return value


def _bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(_bytes(part) for part in parts)


@dataclass(frozen=True)
class Kept:
    """One state folder. days: days since it was last written. used: whether a training holds its lock."""

    folder: Path
    step: int | None
    bytes: int
    days: float
    used: bool


def kept(root: Path) -> list[Kept]:
    """List the states of all trainings, newest first. Links and folders with other names are not states."""
    folders = [
        path for path in root.glob("*") if _NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    ]
    return sorted((_look(path) for path in folders), key=lambda one: one.days)


def _look(folder: Path) -> Kept:
    stats = [path.lstat() for path in folder.iterdir()]
    newest = max((stat.st_mtime for stat in stats), default=folder.stat().st_mtime)
    days = max(0.0, time.time() - newest) / 86400
    step = next((step for step, _ in _manifests(folder)), None)
    return Kept(folder, step, sum(stat.st_size for stat in stats), days, _is_used(folder))


def _is_used(folder: Path) -> bool:
    if not files.is_file(folder / "lock"):
        return False
    try:
        with (folder / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def tidy(root: Path) -> None:
    """Remove the unused states that were last written more than _DAYS ago, and all but the newest _COUNT of them."""
    unused = [one for one in kept(root) if not one.used]
    for number, one in enumerate(unused):
        if one.days > _DAYS or number >= _COUNT:
            print(f"removing the state {one.folder.name}, last used {one.days:.0f} days ago")
            shutil.rmtree(one.folder, ignore_errors=True)
