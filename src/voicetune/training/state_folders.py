"""The folders of the states of trainings: where they lie, their locks, and which are removed.

This module does not import torch, so that commands which only list states need not load it.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from voicetune import files
from voicetune.errors import UserError
from voicetune.training import manifest

_NAME = re.compile(r"train_phase[12]-[0-9a-f]{16}")  # the name of a state folder: the stage and `key`
_LOCK, _HOLDER = "lock", "process"  # Windows lets nobody read a locked file, so the number has a file of its own
_LOCK_SECONDS = 1.0  # a process that was just killed may still hold the lock
_DAYS, _COUNT = 30, 8  # `tidy` removes unused states after so many days, and all but so many
_NEW_DAYS = 1  # those of a sweep that was stopped just now may be many


def root(workspace: Path) -> Path:
    """The repository's `state/` folder, also when called inside one of DVC's temporary experiments."""
    parts = workspace.resolve().parts
    for i in range(len(parts) - 2):
        if parts[i : i + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:i]) / "state"
    return workspace.resolve() / "state"


def key(facts: dict[str, Any]) -> str:
    """Hash everything that a training's result depends on: the first 16 digits of the SHA-256."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the folder for this process. The lock ends with the process, however that ends.

    Raises:
        UserError: another process is training there; or the folder or one of its files is a link, through which this
            would write elsewhere; or the lock is no plain file.
    """
    holder = folder / _HOLDER
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for path in (folder / _LOCK, holder):
        if folder.is_symlink() or path.is_symlink() or (path.exists() and not files.is_file(path)):
            raise UserError(f"{path} leads through a link, or is not a plain file; remove it and run this again.")
    lock = FileLock(folder / _LOCK, timeout=_LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        number = holder.read_text(encoding="ascii", errors="replace").strip() if holder.is_file() else ""
        raise UserError(
            f"another training (process {number or 'unknown'}) uses {folder};"
            " wait for it or stop it, then run this again."
        ) from None
    except OSError as error:
        raise UserError(files.refused(folder / _LOCK, error, "written")) from None
    try:
        with files.writing(holder):
            holder.write_text(str(os.getpid()), encoding="ascii", newline="\n")
        yield
    finally:
        left = folder.exists() and not holder.exists()  # the state was removed, but not its lock, because that is open
        lock.release()
        if left:
            with suppress(OSError):
                (folder / _LOCK).unlink(missing_ok=True)
                folder.rmdir()


@dataclass(frozen=True)
class StateFolder:
    """One state folder. days: days since it was last written. used: whether a training holds its lock."""

    folder: Path
    step: int | None
    bytes: int
    days: float
    used: bool


def find(root: Path) -> list[StateFolder]:
    """List the states of all trainings, newest first. Links and folders with other names are not states."""
    folders = [
        path for path in root.glob("*") if _NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    ]
    return sorted((one for one in map(_look, folders) if one), key=lambda one: one.days)


def _look(folder: Path) -> StateFolder | None:
    """Look into a state folder; None if it has just been removed."""
    stats = []
    try:
        here = folder.stat().st_mtime
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # the training that runs there removes old files
                stats.append(path.lstat())
    except FileNotFoundError:
        return None
    newest = max((stat.st_mtime for stat in stats), default=here)
    days = max(0.0, time.time() - newest) / 86400
    step = next((step for step, _ in manifest.find(folder)), None)
    return StateFolder(folder, step, sum(stat.st_size for stat in stats), days, _is_used(folder))


def _is_used(folder: Path) -> bool:
    if not files.is_file(folder / _LOCK):
        return False
    try:
        with FileLock(folder / _LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return (folder / _LOCK).exists()  # it cannot be asked; without the file, the training has just ended


def check_unused(states: Sequence[StateFolder]) -> None:
    """Refuse to remove a state that a training holds.

    Raises:
        UserError: a training uses one of them.
    """
    for one in states:
        if one.used:
            raise UserError(f"the state '{one.folder.name}' is in use by a training; stop that first.")


def tidy(root: Path) -> None:
    """Remove the unused states that were last written more than _DAYS ago, and all but the newest _COUNT of them.

    Those of the last day stay.
    """
    unused = [one for one in find(root) if not one.used]
    for number, one in enumerate(unused):
        if (one.days > _DAYS or number >= _COUNT) and one.days > _NEW_DAYS and _remove_unused(one.folder):
            print(f"removed the saved state {one.folder.name}, last used {one.days:.0f} days ago")


def remove_of(root: Path, processes: Collection[int], since: float) -> None:
    """Remove the states of trainings that were killed and are not to go on.

    Args:
        processes: the numbers of processes of this machine, which have ended.
        since: seconds since the epoch. An older state is that of an earlier process with the same number.
    """
    for one in find(root):
        holder = one.folder / _HOLDER
        with suppress(OSError, ValueError):
            if holder.stat().st_mtime >= since and int(holder.read_text(encoding="ascii")) in processes:
                _remove_unused(one.folder)


def _remove_unused(folder: Path) -> bool:
    """Remove a state unless a training uses it, and let none begin to use it meanwhile. Returns whether it is gone."""
    try:
        with locked(folder):
            remove(folder)
    except UserError:
        return False
    return True


def remove(folder: Path) -> None:
    """Remove a state folder. The training that uses it must have written all that it saves."""
    shutil.rmtree(folder, ignore_errors=True)
