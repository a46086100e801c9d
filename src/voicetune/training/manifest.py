"""The manifest of a saved state: it names the state's files with their sizes and SHA-256. It is written last."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from voicetune import files
from voicetune.shapes import Count, Plain, Record
from voicetune.training import durable


class Entry(Record):
    bytes: int = Field(ge=0)
    sha256: str


class Manifest(Record):
    """step-<n>.json. files: those of the state, by name, with their sizes and hashes."""

    step: Count
    best_step: Count
    files: dict[Plain, Entry]

    @model_validator(mode="after")
    def _names_both(self):
        if {state_name(self.step), best_name(self.best_step)} != set(self.files):
            raise ValueError("should name the state and its best weights, and nothing else")
        return self


def state_name(step: int) -> str:
    return f"step-{step}.pt"


def best_name(step: int) -> str:
    return f"best-{step}.pt"


def find(folder: Path) -> list[tuple[int, Path]]:
    """List the steps and paths of a folder's manifests, the newest first. They may be damaged. No folder has none."""
    try:
        matches = [(path, re.fullmatch(r"step-(\d{1,12})\.json", path.name)) for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(((int(match[1]), path) for path, match in matches if match), reverse=True)


def read(path: Path) -> Manifest | None:
    """Read a manifest; None if it is damaged."""
    try:
        return Manifest.model_validate_json(path.read_bytes()) if files.is_file(path) else None
    except (OSError, ValidationError):
        return None


def write(folder: Path, step: int, best_step: int, entries: dict[str, Any]) -> None:
    """Write the manifest of a state, whose files must be on the disk; `entries` are as in `Manifest.files`."""
    with durable.replacing(folder / f"step-{step}.json") as file:
        file.write(json.dumps({"step": step, "best_step": best_step, "files": entries}).encode())


def is_whole(path: Path, entry: Entry) -> bool:
    """Whether a file has the size of its entry."""
    try:
        return files.is_file(path) and path.stat().st_size == entry.bytes
    except FileNotFoundError:  # its training has just removed it
        return False


def is_intact(path: Path, entry: Entry) -> bool:
    """Whether a file has the size and the SHA-256 of its entry."""
    if not is_whole(path, entry):
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
