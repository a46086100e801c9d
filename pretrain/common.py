"""What the natural base's stages share: where things lie, the parameters, how a stage ends."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WORK = HERE / "work"
BUNDLE = HERE / "natural"
sys.path.insert(0, str(HERE.parent / "src"))

from voicetune.errors import UserError  # noqa: E402 - the library's place is set above
from voicetune.params.reading import read_yaml  # noqa: E402


def params() -> dict[str, Any]:
    return read_yaml(HERE / "params.yaml")


def fingerprint(values: Any, *files: Path) -> str:
    """A hash of parameters and of files' bytes: what was begun with another one is not gone on with."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def run(main: Callable[[], None]) -> None:
    """Run a stage; what a user is meant to read is one sentence and no traceback."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
