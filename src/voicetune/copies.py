"""Copies files from a model folder that somebody else may have made, and writes folders completely or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from voicetune import files, moving
from voicetune.errors import UserError


def check_link(path: Path, folder: Path) -> None:
    """Refuse a link that leads out of the folder. It could copy any file of this machine into a published model.

    Links into DVC's cache and the hub's cache are allowed. These name a file by the hash of its content, so whoever
    can write such a link already knows the content.

    Raises:
        UserError: `path`, below `folder`, is a link to a place outside it.
    """
    if files.leaves(path, folder, hub=True):
        real = os.path.realpath(path)
        raise UserError(f"{path} is a link to {real}, outside its folder; put the file itself there, or remove it.")


def copy(path: Path, out: Path, folder: Path | None = None) -> None:
    """Copy a file's content, after `check_link`.

    Args:
        folder: the folder that `path` must not link out of. By default, the one that `path` is in.

    Raises:
        UserError: `path` links out of the folder or cannot be read, or `out` cannot be written.
    """
    check_link(path, folder or path.parent)
    files.need(path, "restore it, or make its folder again")
    if not os.access(path, os.R_OK):
        raise UserError(f"you may not read {path}; correct its permissions.")
    with written(out):
        shutil.copyfile(path, out)


class _NotWritten(UserError):
    def __init__(self, out: Path, reason: str):
        self.reason = reason
        super().__init__(
            f"{out} cannot be written ({reason}); make room on the disk, or correct the folder's"
            " permissions, and run this again."
        )


@contextmanager
def written(out: Path) -> Iterator[None]:
    """Turns the error of a full disk or a read-only folder, raised while `out` is written, into one UserError.

    torch's writer raises a RuntimeError that names neither cause. So any RuntimeError here is reported as a full or
    failing disk.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error) if isinstance(error, ValueError) else None
        raise _NotWritten(out, f"{reason or 'the disk is full or fails'}{_free(out)}") from None


def _free(out: Path) -> str:
    try:
        return f", {shutil.disk_usage(out.parent).free / 1e9:.1f} GB are free"
    except (OSError, ValueError):
        return ""


@contextmanager
def whole(out: Path, part: Path) -> Iterator[Path]:
    """Yields a new folder `part`, beside `out`, to write into, and puts it in the place of `out` when the block ends.

    If the block raises, `part` is removed and `out` stays as it was. At each moment, one whole folder is there. If the
    process is killed while `out` is replaced, that can be the earlier folder under another name; the next call puts it
    back.

    Raises:
        UserError: `part` cannot be made or renamed.
    """
    earlier = part.with_name(part.name + ".replaced")
    try:
        with written(out):
            _put_back(earlier, out)
            remove(part)
            remove(earlier)
            part.mkdir(parents=True)
        yield part
        with written(out):
            if out.is_symlink() or out.is_dir():  # a file stays, and the next line refuses it
                moving.rename(out, earlier)
            moving.rename(part, out)
    except _NotWritten as error:  # name `out` in the message, as the user does not know `part`
        raise _NotWritten(out, error.reason) from None
    finally:
        _put_back(earlier, out)
        remove(part)
        remove(earlier)


def _put_back(earlier: Path, out: Path) -> None:
    if os.path.lexists(earlier) and not os.path.lexists(out):
        moving.rename(earlier, out)


def remove(path: Path) -> None:
    """Remove a link, or a folder with all that is in it."""
    if os.path.islink(path):  # Path.is_symlink raises if the name is too long
        path.unlink()
    else:
        with suppress(ValueError):  # a NUL in the name, from Python 3.13 on
            moving.remove_tree(path, quietly=True)
