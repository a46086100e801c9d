"""The toy downloads nothing."""

from pathlib import Path


def downloads() -> list[tuple[str, Path, str]]:
    return []
