"""Carry the states of unfinished trainings to a folder, and from it to another machine, where the trainings go on."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from voicetune import files
from voicetune.errors import UserError
from voicetune.training import manifest, state_folders

_OTHERS = ("failures.jsonl",)  # how earlier processes failed, which a phase's facts list


def carry(source: Path, target: Path) -> Iterator[str]:
    """Copy the newest intact state of each training from one folder of states to another; yield a line for each.

    A training may write to the source meanwhile. A copied state counts only when all of it is there, because its
    manifest is copied last. A state that the target already has, or a newer one, is left as it is.

    Raises:
        UserError: there is no such folder, or the target cannot be written, or a training uses the state there.
    """
    if not source.is_dir():
        raise UserError(f"{source} is no folder with states; correct its path.")
    for one in state_folders.find(source):
        place = target / one.folder.name
        had = _newest(place)
        if had >= _newest(one.folder):
            continue
        with state_folders.locked(place):
            step = _copy(one.folder, place)
        if step is not None and step != had:
            yield f"{one.folder.name}  step {step}"


def repeat(source: Path, target: Path, seconds: int) -> Iterator[str]:
    """Carry again and again, until the process is stopped."""
    while True:
        yield from carry(source, target)
        time.sleep(seconds)


def _newest(folder: Path) -> int:
    """The step of a folder's newest manifest; -1 if there is none."""
    return next((step for step, _ in manifest.find(folder)), -1) if folder.is_dir() else -1


def _copy(folder: Path, place: Path) -> int | None:
    """Copy the newest state that is intact, and remove older ones from the place; returns its step."""
    for step, path in manifest.find(folder):
        found = manifest.read(path)
        if found is None:
            continue
        with files.writing(place):
            if not all(_copy_file(folder / name, place / name, entry) for name, entry in found.files.items()):
                continue  # damaged, or the training has just removed it because a newer one is there
            for name in _OTHERS:
                if files.is_file(folder / name):
                    (place / name).unlink(missing_ok=True)  # if it is a link, writing would follow it
                    shutil.copyfile(folder / name, place / name)
            part = files.beside(place / path.name)
            part.unlink(missing_ok=True)
            shutil.copyfile(path, part)
            os.replace(part, place / path.name)
        _remove_others(place, {path.name, *found.files})
        return step
    return None


def _copy_file(source: Path, target: Path, entry: manifest.Entry) -> bool:
    """Copy a file and compare the copy with its entry; False if the source is not there."""
    if not manifest.is_intact(target, entry):
        target.unlink(missing_ok=True)  # if it is a link, writing would follow it
        try:
            shutil.copyfile(source, target)
        except FileNotFoundError:
            return False
    return manifest.is_intact(target, entry)


def _remove_others(place: Path, kept: set[str]) -> None:
    for path in [*place.glob("step-*"), *place.glob("best-*")]:
        if path.name not in kept:
            with suppress(OSError):
                path.unlink()
