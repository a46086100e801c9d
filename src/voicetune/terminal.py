"""What stages and commands show on the terminal: a console, and a progress bar."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track

console = Console()
T = TypeVar("T")


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Iterate with a progress bar on a terminal, silently elsewhere."""
    return rich_track(items, what, total, console=console, disable=not console.is_terminal, transient=True)
