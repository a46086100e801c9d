"""A phase's resumable state: the latest step and the best weights, never half written.

A state folder belongs to one phase with one set of parameters, data and parent model: its name is a
hash of them. It lies outside DVC's outs, survives a crash and `dvc exp run --temp`, and is locked
while a training uses it.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from voicetune.errors import UserError

_LATEST = "latest.pt"


def root(workspace: Path) -> Path:
    """Where states live: `state/` of the repository, also from within DVC's temporary experiments."""
    parts = workspace.resolve().parts
    for i in range(len(parts) - 2):
        if parts[i : i + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:i]) / "state"
    return workspace.resolve() / "state"


def key(facts: dict[str, Any]) -> str:
    """A short hash of everything that a training's result depends on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock goes with the process, however it ends.

    Raises:
        UserError: another process is training there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise UserError(
                f"another training (process {file.read().strip() or 'unknown'}) uses {folder};"
                " wait for it or stop it, then run this again."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def write_beside(path: Path, value: Any) -> None:
    """torch.save to a file beside, fsync, rename: a reader sees the old file or the new one, whole."""
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


class State:
    """The two checkpoints of one training: the latest, and the best model that it names."""

    def __init__(self, folder: Path):
        self.folder = folder

    def load(self) -> dict[str, Any] | None:
        """The latest state, or None when there is none to go on from."""
        path = self.folder / _LATEST
        if not path.is_file():
            return None
        return torch.load(path, map_location="cpu", weights_only=True)

    def save(self, state: dict[str, Any], best: dict[str, torch.Tensor] | None) -> None:
        """Write the latest state; with `best`, first the weights that `state['best_step']` names.

        The old best goes only after the state that no longer needs it is on disk.
        """
        if best is not None:
            write_beside(self._best(state["best_step"]), best)
        write_beside(self.folder / _LATEST, state)
        for path in self.folder.glob("best-*.pt"):
            if path != self._best(state["best_step"]):
                path.unlink()

    def best(self, step: int) -> dict[str, torch.Tensor]:
        """The best weights, as saved with `best_step == step`."""
        return torch.load(self._best(step), map_location="cpu", weights_only=True)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _best(self, step: int) -> Path:
        return self.folder / f"best-{step}.pt"
