"""Renames and removes files and folders, also where Windows refuses that at first.

On Windows, a virus scanner or a backup may hold a file for a moment after it was written, and then it cannot be
renamed. A file that another program reads cannot be removed. Nor can a file that is read-only, as those in DVC's cache
are.
"""

import os
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import Any

_WAITS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 1.6, 1.6)  # seconds between tries


def rename(source: Path, target: Path) -> None:
    """Rename a file or a folder; a file replaces an earlier one. On Windows it is tried for six seconds.

    Raises:
        OSError: it cannot be renamed.
    """
    for wait in _WAITS:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if sys.platform != "win32":
                raise
            time.sleep(wait)
    os.replace(source, target)


def unlink(path: Path) -> None:
    """Remove a file or a link, also a read-only one, if it is there.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if sys.platform != "win32" or path.is_symlink():
            raise
        path.chmod(stat.S_IREAD | stat.S_IWRITE)
        path.unlink(missing_ok=True)


def drop(path: Path) -> None:
    """Remove a file that is needed no more. On Windows it stays if another program reads it.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if sys.platform != "win32":
            raise


def remove_tree(folder: Path, quietly: bool = False) -> None:
    """Remove a folder with all that is in it, also read-only files.

    Args:
        quietly: leave what cannot be removed.

    Raises:
        OSError: something cannot be removed.
    """

    def again(act: Any, name: str, _: Any) -> None:
        """Called by rmtree while it handles the error of `act`."""
        try:
            if sys.platform != "win32":
                raise
            os.chmod(name, stat.S_IRWXU)
            act(name)
        except OSError:
            if not quietly:
                raise

    if sys.version_info >= (3, 12):
        shutil.rmtree(folder, onexc=again)
    else:
        shutil.rmtree(folder, onerror=again)
