"""What the last run of each stage took on this machine: seconds, memory, speed, restarts.

This differs from run to run, so neither git nor DVC tracks it. The report shows it where it exists.
"""

import json
from pathlib import Path
from typing import Any

from voicetune import files, outputs
from voicetune.errors import UserError

FOLDER = Path("metrics/run")


def add(name: str, values: dict[str, Any]) -> None:
    """Add figures of this run to metrics/run/<name>.json."""
    path = FOLDER / f"{name}.json"
    outputs.write_json(path, {**read(path), **values})


def read(path: Path) -> dict[str, Any]:
    """Read what `add` wrote; an empty dict if there is no such file, or if `add` cannot have written it."""
    try:
        found = json.loads(files.read_text(path, "run the stage again"))
        outputs.encode_json(found)  # raises on NaN and lone surrogates, which the next `add` could not write
    except (UserError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
