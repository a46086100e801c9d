"""Copies out of a model folder that somebody else may have made, into one that is whole or not there at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voicetune import files
from voicetune.errors import UserError


def check_link(path: Path, folder: Path) -> None:
    """Refuse a link that leads out of the folder: it could carry any file of this machine into what is given away.

    DVC's cache and the hub's are led to by links as well. A file in them is called by the hash of its content, so
    whoever can write such a link knows the content already.

    Raises:
        UserError: `path`, below `folder`, is really somewhere else.
    """
    if files.leaves(path, folder, hub=True):
        real = os.path.realpath(path)
        raise UserError(f"{path} is a link to {real}, outside its folder; put the file itself there, or remove it.")


def copy(path: Path, out: Path, folder: Path | None = None) -> None:
    """Copy a file's content, see `check_link`.

    Args:
        folder: what the file may not lead out of; without it, the one that it is in.

    Raises:
        UserError: it leads out, cannot be read, or `out` cannot be written.
    """
    check_link(path, folder or path.parent)
    if not os.access(path, os.R_OK):
        raise UserError(f"{path} cannot be read by you; change who may read it.")
    with written(out):
        shutil.copyfile(path, out)


class _NotWritten(UserError):
    def __init__(self, out: Path, reason: str):
        self.reason = reason
        super().__init__(
            f"{out} cannot be written ({reason}); free some of the disk, or see that the folder may be written, and run"
            " this again."
        )


@contextmanager
def written(out: Path) -> Iterator[None]:
    """Turns what a full disk or a read-only folder raises while `out` is written into one sentence.

    torch's writer raises a RuntimeError that says neither of them; so whatever it raises here counts as that.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error) if isinstance(error, ValueError) else None
        raise _NotWritten(out, f"{said or 'the disk is full or fails'}{_free(out)}") from None


def _free(out: Path) -> str:
    try:
        return f", {shutil.disk_usage(out.parent).free / 1e9:.1f} GB are free"
    except (OSError, ValueError):
        return ""


@contextmanager
def whole(out: Path, part: Path) -> Iterator[Path]:
    """A folder `part`, beside `out`, to write into. It becomes `out` when the block ends.

    Where the block raises, `part` goes and what was in `out` stays.

    Raises:
        UserError: the folder cannot be made.
    """
    shutil.rmtree(part, ignore_errors=True)
    try:
        with written(out):
            part.mkdir(parents=True)
        yield part
        with written(out):
            if out.is_symlink():
                out.unlink()
            elif out.exists():
                shutil.rmtree(out)
            part.rename(out)
    except _NotWritten as error:  # the user knows `out`, not `part`
        raise _NotWritten(out, error.reason) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
