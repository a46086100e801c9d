"""Check files from outside before opening them, and turn a failed write into one sentence for the user.

Opening a pipe as a file hangs. Reading a device may never end. A name with a NUL or of 300 characters raises errors
that no caller expects. So every path from params.yaml, the command line or a source is checked here first.
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from voicetune import moving
from voicetune.errors import UserError

_BLOB = re.compile(r"/blobs/([0-9a-f]{40}|[0-9a-f]{64})$")  # git's SHA-1, or SHA-256
_HELD = (32, 33)  # Windows: the file is open elsewhere, or a part of it is locked
_LARGEST = 64 * 2**20  # bytes of a text; a metadata.csv of 100,000 lines takes a tenth of that
_WRITING = {
    errno.ENOSPC: "the disk is full; free some space (`make space` shows what takes it) and run the same command again",
    errno.EDQUOT: "your quota is used up; free some space (`make space` shows what takes it) and run it again",
    errno.EROFS: "it lies in a file system that is read-only; work in a folder that you may write to",
    errno.EACCES: "you have no permission there; correct that, or work in another folder",
    errno.EPERM: "the file system does not allow it; correct its permissions, or work in another folder",
    errno.ENOTDIR: "a part of this path is a file, but should be a folder; move that file away",
    errno.EEXIST: "something else of this name is in the way; move it away",
    errno.EISDIR: "a folder of this name is in the way; move it away",
    errno.ENAMETOOLONG: "the name is too long for the file system; shorten it",
    errno.ELOOP: "its links point to each other in a circle; remove them",
}


def is_file(path: Path) -> bool:
    """Whether this is a plain file. Links are followed; a name that no file can have gives False."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def ignores_case(folder: Path) -> bool:
    """Whether the file system of a folder takes a.wav and A.wav for the same file, as on Windows and macOS.

    A folder without letters in its name, such as 2026, is judged by the one above it.
    """
    for place in (folder.resolve(), *folder.resolve().parents):
        if place.name != place.name.swapcase():  # names, because two paths of Windows are equal without case
            other = place.with_name(place.name.swapcase())
            return other.exists() and other.samefile(place)
    return False


def sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def need(path: Path, remedy: str) -> None:
    """Require a plain file.

    Args:
        remedy: what to do if there is none, without its full stop.

    Raises:
        UserError: it is missing, a folder, a pipe or a device, or its status cannot be read.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is missing; {remedy}.") from None
    except ValueError:  # a NUL
        raise UserError(f"'{path}' is no name that a file can have; {remedy}.") from None
    except OSError as error:
        name = str(path) if len(str(path)) < 100 else f"{str(path)[:60]}..."
        raise UserError(f"{name} cannot be read ({error.strerror}); {remedy}.") from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{path} is a folder, but should be a file; {remedy}.")
    if not stat.S_ISREG(mode):
        raise UserError(f"{path} is a pipe or a device, but should be a plain file; {remedy}.")


def read_text(path: Path, remedy: str) -> str:
    """Read a whole UTF-8 text, without its byte order mark.

    Args:
        remedy: what to do if there is no such file, without its full stop.

    Raises:
        UserError: see `read_bytes`; or the file is not UTF-8.
    """
    data = read_bytes(path, remedy)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or data.count(0) > len(data) / 4:
        raise UserError(f"{path} is not UTF-8 but looks like UTF-16; save the file again in the encoding UTF-8.")
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(0)) + 1
        raise UserError(f"{path}, line {line} has a NUL character; remove it, and save the file in the encoding UTF-8.")
    try:
        return one_line_end(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line} is not UTF-8; save the file again in the encoding UTF-8.") from None


def read_bytes(path: Path, remedy: str) -> bytes:
    """Read a whole text as bytes.

    Args:
        remedy: what to do if there is no such file, without its full stop.

    Raises:
        UserError: see `need`; or the file is too large, or cannot be read.
    """
    need(path, remedy)
    if path.stat().st_size > _LARGEST:
        size = f"{path.stat().st_size / 2**20:.0f} MiB, and a text may have {_LARGEST / 2**20:.0f}"
        raise UserError(f"{path} has {size}; take out the lines that you do not need.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); correct its permissions.") from None


def one_line_end(text: str) -> str:
    """A text whose lines all end in `\\n`, as Path.read_text reads it."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError while a file or folder is written into a UserError with one sentence that names it."""
    try:
        yield
    except OSError as error:
        raise UserError(refused(path, error, "written")) from None


def beside(path: Path) -> Path:
    """The temporary path that a file is written to before it is renamed."""
    return path.with_name(f".{path.name}.part")


def put(path: Path, data: bytes) -> None:
    """Write a file, see `put_all`."""
    put_all({path: data})


def put_all(contents: Mapping[Path, bytes]) -> None:
    """Write files under temporary names, and rename them once all are complete. No file is ever half written.

    Only one process at a time may do this, because the temporary names are the same for all processes.

    Raises:
        UserError: the disk is full, or a folder cannot be written, or a folder is in a file's place. If this happens
            while the temporary files are written, the earlier files stay as they were.
    """
    try:
        for path, data in contents.items():
            check_no_folder(path)
            with writing(path):
                beside(path).unlink(missing_ok=True)  # if it is a link, writing would follow it
                beside(path).write_bytes(data)
        for path in contents:
            with writing(path):
                moving.rename(beside(path), path)
    except BaseException:
        for path in contents:
            with suppress(OSError):
                beside(path).unlink(missing_ok=True)
        raise


def check_no_folder(path: Path) -> None:
    """Require that no folder is where a file will be written.

    Raises:
        UserError: one is.
    """
    if path.is_dir() and not path.is_symlink():
        raise UserError(refused(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)), "written"))


def check_own(path: Path) -> None:
    """Require a path below the working directory that leads through no link.

    Raises:
        UserError: the path, or a folder above it, is a link, so what is written there would lie elsewhere.
    """
    if Path(os.path.realpath(path)) != Path.cwd().resolve() / path:
        raise UserError(f"{path} leads through a link, but results stay in the project's own folders; remove the link.")


def refused(path: Path | str | None, error: OSError, done: str) -> str:
    """Return the sentence for a file that cannot be read or written; `done` is that word."""
    why = _WRITING.get(error.errno or 0, f"{error.strerror or error}; correct that and run the same command again")
    if getattr(error, "winerror", None) in _HELD:
        why = "another program has it open; close that, and run the same command again"
    return f"{'a file' if path is None else path} cannot be {done}: {why}."


def is_told(error: OSError) -> bool:
    """Whether `refused` can explain this error to a user. Any other OSError is a bug and keeps its traceback."""
    return error.errno in _WRITING


def leaves(path: Path, folder: Path, hub: bool = False) -> bool:
    """Whether a path below a folder leads through a link out of it, other than into a DVC cache.

    Args:
        hub: also allow a cache of the Hugging Face hub, which names its files by their hashes too.

    The file behind such a link would get into clips, codes and a published voice, though nobody put it into the source.
    DVC itself may check out files as links into its cache (`cache.type symlink`), wherever that lies. It names a file
    there by the hash of its content, `files/md5/ab/<30 digits>`, so only someone who knows the content can make a link
    to it.
    """
    real = Path(os.path.realpath(path))
    cached = _is_cached(real) or (hub and _BLOB.search(real.as_posix()) is not None)
    return not real.is_relative_to(os.path.realpath(folder)) and not cached


def _is_cached(path: Path) -> bool:
    start, rest = path.parent.name, path.name
    if rest.endswith(".dir"):
        return False
    return len(start) == 2 and len(rest) == 30 and set(start + rest) <= set("0123456789abcdef")
