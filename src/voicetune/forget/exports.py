"""Finds the models that were exported into a project's folder, and that speak as somebody."""

import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from voicetune import families, files
from voicetune.errors import UserError
from voicetune.forget import cache
from voicetune.kept import voices

_ELSEWHERE = ("models", ".dvc", ".git", ".venv", "state", str(voices.FOLDER))
_WEIGHTS = ("model.pth", "best_model.pth", "model.safetensors")
_CARD, _LICENCE, _SOUND = "README.md", "LICENSE.txt", "ref.wav"
_SAID_BY_CARD = b"fine-tuned with voicetune"


def find(root: Path, speaker: str) -> tuple[list[Path], list[str]]:
    """Find model folders outside models/ and voices/, and .zip files of `export`, whose voicetune.json names a speaker.

    Returns:
        what is to be removed, by paths from `root`: whole folders, if they have nothing but what `export` writes, and
            else single files; and a sentence about each folder or .zip file that has other files.
    """
    found, told = [], []
    for path in sorted([*root.glob("**/voicetune.json"), *root.glob("**/*.zip")]):
        inside = path.relative_to(root)
        if inside.parts[0] in _ELSEWHERE or not _names(path, speaker):
            continue
        if path.suffix == ".zip":
            others = _not_exported(path)
            found += [] if others else [inside]
            told += [_told_of_zip(inside, others)] if others else []
        elif len(inside.parts) > 1:
            written = list(_written(path.parent))
            others = sorted({one.name for one in path.parent.iterdir()} - {one.name for one in written} - {_LICENCE})
            found += [one.relative_to(root) for one in written] if others else [inside.parent]
            told += [_told(inside.parent, others)] if others else []
    return found, told


def _names(path: Path, speaker: str) -> bool:
    """Whether a voicetune.json, or that of a .zip file, names a speaker. A damaged one names nobody."""
    with suppress(OSError, ValueError, KeyError, zipfile.BadZipFile, RuntimeError):
        return speaker in cache.named_in(_zipped_facts(path) if path.suffix == ".zip" else path.read_bytes())
    return False


def _zipped_facts(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(families.FACTS).file_size > cache.LARGEST_FACTS:
            raise ValueError
        return archive.read(families.FACTS)


def _not_exported(path: Path) -> list[str]:
    """The entries of a .zip file that `export` cannot have written: its entries lie in no folder and have the first
    date that a .zip can have."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    return [one.filename for one in entries if "/" in one.filename or one.date_time != zipfile.ZipInfo().date_time]


def _written(folder: Path) -> Iterator[Path]:
    """The files of a folder that `export` writes and that are of a speaker.

    The weights and voicetune.json come last, because a second run finds the rest by them. Files with usual names, such
    as config.json, count only if the folder has a whole model.
    """
    layout = families.layout(folder)
    names = [layout.SPEAKERS, *_WEIGHTS]
    with suppress(UserError):
        weights, *more = [path.name for path in layout.files(folder)]
        names = list(dict.fromkeys([layout.SPEAKERS, _SOUND, *more, *_WEIGHTS, weights]))
    if files.is_file(folder / _CARD) and _SAID_BY_CARD in (folder / _CARD).read_bytes():
        yield folder / _CARD
    yield from (folder / name for name in names if files.is_file(folder / name))
    yield folder / families.FACTS


def _told_of_zip(path: Path, others: list[str]) -> str:
    return (
        f"{path} has a model of this speaker, and files that `voicetune export` did not write, such as {others[0]}:"
        " it stays; remove it by hand, or take the model out of it"
    )


def _told(folder: Path, others: list[str]) -> str:
    return (
        f"{folder} has an exported model, and {len(others)} files or folders that `voicetune export` did not write,"
        f" such as {others[0]}: only the model is removed there; remove by hand what is of this speaker"
    )
