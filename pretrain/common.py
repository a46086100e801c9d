"""What the tiny base's stages share: where things lie, the parameters, how a stage ends."""

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


def run(main: Callable[[], None]) -> None:
    """Run a stage; what a user is meant to read is one sentence and no traceback."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
