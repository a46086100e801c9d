"""Write what a stage gives: an empty folder for results, and figures as JSON."""

import json
from pathlib import Path
from typing import Any

from voicetune import files, moving


def make_empty(folder: Path) -> Path:
    """Make an empty folder for results; what it held is removed.

    Raises:
        UserError: it cannot be removed or made, or it leads through a link, which this does not follow.
    """
    files.check_own(folder)
    with files.writing(folder):
        if folder.exists():
            moving.remove_tree(folder)
        folder.mkdir(parents=True)
    return folder


def write_json(path: Path, data: Any) -> None:
    """Write figures as `encode_json` gives them. The file is complete, or as it was before.

    Raises:
        UserError: its folder is a link, or it cannot be written.
    """
    files.check_own(path.parent)
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.put(path, encode_json(data))


def encode_json(data: Any) -> bytes:
    """Encode figures as readable JSON; a figure that is not finite raises ValueError instead of becoming NaN."""
    return (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
