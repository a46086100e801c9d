"""Signals that stop a training after the current step."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def caught() -> Iterator[list[str]]:
    """Collect SIGTERM and SIGINT by name, so that the step can end and its state be saved.

    Raises:
        KeyboardInterrupt: a second SIGINT came, which stops at once.
    """
    names: list[str] = []

    def handle(number, _frame):
        name = signal.Signals(number).name
        if name == "SIGINT" and name in names:
            raise KeyboardInterrupt
        names.append(name)  # after a SIGINT the agent also sends a SIGTERM, which must not count as a second SIGINT

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield names
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
