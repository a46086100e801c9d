"""Ends a process when the one that started it has died, however that died."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Watch the parent of this process of multiprocessing in a thread; end this process when the parent has died."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
