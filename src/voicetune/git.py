"""Asks git about the project's repository."""

import subprocess
from pathlib import Path

from voicetune.errors import UserError


def git(root: Path, *arguments: str, given: bytes = b"") -> bytes:
    """Run git, and return what it prints.

    Raises:
        UserError: it fails.
    """
    done = subprocess.run(["git", *arguments], cwd=root, input=given, capture_output=True)
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
        raise UserError(f"git fails in {root} ({reason}); run this in the folder of a git repository.")
    return done.stdout
