"""Code that the stages of the tiny base share: paths, parameters, and how a stage ends."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WORK = HERE / "work"
PARTS = WORK / "bundle"  # of the bundle, until stage bundle copies them
BUNDLE = HERE / "bundle"
sys.path.insert(0, str(HERE.parent / "src"))

from voicetune.errors import UserError  # noqa: E402 - the library's place is set above
from voicetune.params.reading import read_yaml  # noqa: E402


def params() -> dict[str, Any]:
    return read_yaml(HERE / "params.yaml")


def fingerprint(values: Any, *files: Path) -> str:
    """Hash parameters and the bytes of files. A stage reuses earlier work only if its fingerprint is the same."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def run(main: Callable[[], None]) -> None:
    """Run a stage. A UserError ends it with one sentence and no traceback."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
