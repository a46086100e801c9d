"""Sees to it that nothing of DVC works in a project's folder while a speaker is removed from it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from voicetune import dvc_lock, space
from voicetune.errors import UserError, quoted

# Where DVC's files `rwlock` are, also those of experiments in folders of their own. They name who reads and writes
# what, also while a stage's command runs, when DVC gives up its lock.
_PLACES = (".dvc/tmp", ".dvc/tmp/exps", ".dvc/tmp/exps/*/.dvc/tmp", ".dvc/tmp/exps/*/*/.dvc/tmp")


@contextmanager
def hold(root: Path) -> Iterator[None]:
    """Hold DVC's lock, so that no command of DVC starts meanwhile.

    Raises:
        UserError: a command of DVC, a stage or an experiment runs here; or DVC's settings are damaged.
    """
    space.check_root(root)
    with dvc_lock.hold(root):
        _check_idle(root)
        yield


def _check_idle(root: Path) -> None:
    """Check that no stage runs, here or in an experiment.

    Raises:
        UserError: one does. It would write what it makes of the recordings after they were removed.
    """
    for path in (path for place in _PLACES for path in sorted(root.glob(f"{place}/rwlock"))):
        for one in _working(path):
            if psutil.pid_exists(one["pid"]):
                what = quoted(str(one.get("cmd")), 100)
                raise UserError(
                    f"{path.relative_to(root)} says that process {one['pid']} of DVC ({what}) works in this folder;"
                    " wait for it or stop it, and run this again; if that process is not DVC's, remove that file."
                )


def _working(path: Path) -> list[dict[str, Any]]:
    """The processes that a file `rwlock` of DVC names; none if it is damaged, or removed meanwhile."""
    try:
        known = json.loads(path.read_bytes())
        readers = [one for several in known.get("read", {}).values() for one in several]
        return [one for one in [*readers, *known.get("write", {}).values()] if isinstance(one.get("pid"), int)]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return []
