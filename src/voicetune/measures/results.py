"""The folder of one row's results: takes.csv, for a model clips.csv, and facts.json. Read back without torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voicetune import files
from voicetune.errors import UserError

FACTS = "facts.json"


def read_json(path: Path, required: Sequence[str] = ()) -> dict[str, Any]:
    """Read figures that a stage wrote.

    Args:
        required: names that it has to have.

    Raises:
        UserError: the file is missing or damaged, or lacks a name.
    """
    try:
        found = json.loads(files.read_text(path, "run `dvc repro`"))
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not valid JSON; make it again with `dvc repro -f`.") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no figures; make it again with `dvc repro -f`.")
    if missing := [name for name in required if name not in found]:
        raise UserError(f"{path} has no '{missing[0]}'; make it again with `dvc repro -f`.")
    return found
