"""Whether a kept voice's folder is what its file of DVC names. After `git pull` alone it can be an earlier voice.

DVC itself would hash the weights, and its import takes a second. So this compares small files with DVC's listing of the
folder.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from voicetune import files
from voicetune.errors import UserError
from voicetune.params import reading

_HASH = re.compile(r"[0-9a-f]{32}\.dir")
_DVC = Path(".dvc")
_OF_WINDOWS = {"desktop.ini", "Thumbs.db"}


class _Named(NamedTuple):
    """What a .dvc file says of its folder. size: bytes of all files in it."""

    hash: str
    size: object


def check(folder: Path, pointer: Path, compared: Iterable[str]) -> str | None:
    """Check a folder that is here against its .dvc file.

    Args:
        compared: names of small files, at least one of which differs between any two voices.

    Returns:
        a sentence if the cache has no listing to compare with. None if the folder is what the file names, or if there
        is no such file or no DVC here.

    Raises:
        UserError: the folder is not what the file names, or the file is damaged.
    """
    named = _read(pointer) if _DVC.is_dir() and files.is_file(pointer) else None
    if not named:
        return None
    listing = _listing(named.hash)
    if listing is None:
        same = named.size in (None, _size(folder))
    else:
        same = all(listing.get(name) == _md5(folder / name) for name in compared)
    if not same:
        raise UserError(
            f"{folder} is not what {pointer} names; run `dvc checkout {pointer}`, or `dvc pull {pointer}` if that"
            " fails."
        )
    if listing is None:
        return (
            f"DVC's cache has no list of the files that {pointer} names, so {folder} may be an earlier voice; run"
            f" `dvc pull {pointer}`"
        )
    return None


def _read(pointer: Path) -> _Named | None:
    """What a .dvc file names; None if that is no single folder with hashes of DVC 3."""
    outs = reading.read_yaml(pointer).get("outs")
    out = outs[0] if isinstance(outs, list) and len(outs) == 1 else None
    if not isinstance(out, dict) or out.get("hash") != "md5" or not _HASH.fullmatch(str(out.get("md5"))):
        return None
    return _Named(out["md5"], out.get("size"))


def _listing(hash: str) -> dict[str, str] | None:
    """The hash of each file in a folder, as DVC's cache has it; None if the cache does not have it."""
    path = _object(_DVC / "cache", hash)
    if not path.is_file():
        from voicetune import space  # DVC: a second of imports

        with suppress(UserError):  # settings of DVC that are damaged: no reason not to speak
            path = _object(space.dvc_cache(Path.cwd())[0], hash)
    try:
        return {one["relpath"]: one["md5"] for one in json.loads(path.read_bytes())}
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _object(cache: Path, hash: str) -> Path:
    return cache / "files/md5" / hash[:2] / hash[2:]


def _md5(path: Path) -> str | None:
    """The hash that DVC gives a small file; None if it cannot be read."""
    try:
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return None


def _size(folder: Path) -> int | None:
    """Bytes of all files in a folder, as DVC counts them. macOS and Windows may have left more: see .dvcignore.

    Returns:
        None if one cannot be read, such as a link into the cache that leads nowhere.
    """
    paths = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    try:
        return sum(path.stat().st_size for path in paths if path.name[0] != "." and path.name not in _OF_WINDOWS)
    except OSError:
        return None
