"""The folder for the states of unfinished trainings. This module does not import torch, so callers need not load it."""

from pathlib import Path


def root(workspace: Path) -> Path:
    """The repository's `state/` folder, also when called inside one of DVC's temporary experiments."""
    parts = workspace.resolve().parts
    for i in range(len(parts) - 2):
        if parts[i : i + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:i]) / "state"
    return workspace.resolve() / "state"
