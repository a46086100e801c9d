"""Signals that stop a training after the current step, and the sentences for a training that ended early."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from voicetune.errors import UserError


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


def stopped(name: str) -> UserError:
    """The error for a training that a signal stopped."""
    return UserError(f"stopped by {name}; run the same command again: it resumes from the last state.")


def given_up(why: str) -> UserError:
    """The error for a training whose restarts are used up."""
    return UserError(f"given up after {why}; run the same command to try again.")
