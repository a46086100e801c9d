"""Run DVC's command so that it trains only the experiment that it was given.

Usage: python own_queue.py ARGUMENTS OF dvc...

All experiments beside the workspace wait in one queue, and DVC trains whichever it finds there. Of two commands at the
same moment, one would train the other's experiment, and the other would end without one.
"""

import sys
from typing import Any

from dvc.cli import main
from dvc.repo.experiments.exceptions import ExpQueueEmptyError
from dvc.repo.experiments.executor.local import TempDirExecutor
from dvc.repo.experiments.queue.base import QueueEntry, QueueGetResult
from dvc.repo.experiments.queue.tempdir import TempDirQueue


class OwnQueue(TempDirQueue):
    """DVC's queue as this process sees it: what other processes put in is not there."""

    _own: QueueEntry | None = None

    def put(self, *arguments: Any, **more: Any) -> QueueEntry:
        self._own = super().put(*arguments, **more)
        return self._own

    def get(self) -> QueueGetResult:
        entry, self._own = self._own, None
        if entry is None:
            raise ExpQueueEmptyError("this command's own experiment was run")
        place = self._standalone_tmp_dir
        return QueueGetResult(entry, self.init_executor(self.repo.experiments, entry, TempDirExecutor, wdir=place))


if __name__ == "__main__":
    import dvc.repo.experiments.queue.tempdir as module

    module.TempDirQueue = OwnQueue  # type: ignore[misc]
    sys.exit(main(sys.argv[1:]))
