"""Holds DVC's lock, so that no command of DVC starts meanwhile. DVC gives it up while a stage's command runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from voicetune import space
from voicetune.errors import UserError, quoted

if TYPE_CHECKING:
    from dvc.repo import Repo

_LOCK = Path(".dvc/tmp/lock")


@contextmanager
def hold(root: Path) -> Iterator["Repo"]:
    """Open DVC's repository and hold its lock.

    Raises:
        UserError: another command of DVC runs here, or DVC's settings are damaged.
    """
    from dvc.exceptions import DvcException  # a second of imports
    from dvc.lock import LockError
    from dvc.repo import Repo, lock_repo

    space.dvc_cache(root)  # refuses damaged settings
    try:
        with Repo(str(root)) as repo, lock_repo(repo):
            yield repo
    except LockError:
        raise UserError(
            f"another command of DVC works in this folder and holds {_LOCK}; wait for it, and run this again."
        ) from None
    except DvcException as error:
        raise UserError(f"DVC fails ({quoted(str(error), 300)}); correct that, and run this again.") from None
