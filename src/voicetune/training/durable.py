"""Write a file so that it is complete or as it was before, even after a power cut, and hash it on the way."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voicetune import moving


class Hashing:
    """Write to a file and hash the data on the way, so that the file need not be read again."""

    def __init__(self, file):
        self.file, self.digest, self.bytes = file, hashlib.sha256(), 0

    def write(self, data) -> int:
        self.digest.update(data)
        self.bytes += len(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()

    def entry(self) -> dict[str, int | str]:
        """What a manifest says of the file: its `bytes` and `sha256`."""
        return {"bytes": self.bytes, "sha256": self.digest.hexdigest()}


@contextmanager
def replacing(path: Path) -> Iterator[Hashing]:
    """Yields a temporary file to write to, then fsyncs and renames it: a reader sees the old file or the new one."""
    beside = path.with_name(path.name + ".part")
    try:
        beside.unlink(missing_ok=True)  # if it is a link, writing would follow it
        with beside.open("wb") as file:
            yield Hashing(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    moving.rename(beside, path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    if sys.platform == "win32":
        return  # a folder cannot be opened there, and NTFS writes the renaming itself to its journal
    folder = os.open(path, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
