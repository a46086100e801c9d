"""Where the states of unfinished trainings lie. Without torch, so that who only looks needs not load it."""

from pathlib import Path


def root(workspace: Path) -> Path:
    """`state/` of the repository, also from within DVC's temporary experiments."""
    parts = workspace.resolve().parts
    for i in range(len(parts) - 2):
        if parts[i : i + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:i]) / "state"
    return workspace.resolve() / "state"
