"""Carry the states of unfinished trainings to a folder, and from it to another machine, where the trainings go on."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from voicetune import files
from voicetune.errors import UserError
from voicetune.training import durable, manifest, state_folders

_OLDEST = 25 * 86400  # seconds; less than the days of `state_folders.tidy`
_OTHERS = ("failures.jsonl",)  # how earlier processes failed, which a phase's facts list


@dataclass(frozen=True)
class Carried:
    """What became of a training's state. fault: why it was not carried, or empty. step: which state it was."""

    name: str
    step: int | None
    fault: str = ""


def carry(source: Path, target: Path) -> Iterator[Carried]:
    """Copy the newest intact state of each training from one folder of states to another.

    A training may write to the source meanwhile. A copied state counts only when all of it is there, because its
    manifest is copied last. If the target already has that state, or a newer one, nothing is copied or yielded. A state
    that cannot be copied is yielded with its fault, and the others are copied all the same.

    Args:
        source: the folder; if it is missing, there is nothing to copy.
    """
    try:
        found = state_folders.find(source)
    except OSError as error:
        yield Carried(str(source), None, files.refused(source, error, "read"))
        return
    for one in reversed(found):  # the newest last, so that it is the newest there, too
        try:
            step = _carry_one(one.folder, target / one.folder.name)
        except UserError as error:
            yield Carried(one.folder.name, None, str(error))
        except OSError as error:  # the source may lie on a network that has just failed
            yield Carried(one.folder.name, None, files.refused(one.folder, error, "read"))
        else:
            if step is not None:
                yield Carried(one.folder.name, step)


def repeat(source: Path, target: Path, seconds: int) -> Iterator[Carried]:
    """Carry again and again, until the process is stopped."""
    while True:
        yield from carry(source, target)
        time.sleep(seconds)


def _carry_one(folder: Path, place: Path) -> int | None:
    """Copy the newest intact state if the place has no such one; returns its step, or None if nothing was copied.

    Raises:
        UserError: it has states, and none is intact.
    """
    known, had = manifest.find(folder), _newest(place)
    if not known or had >= known[0][0]:
        return None
    with state_folders.locked(place):
        for step, path in known:
            if step <= had:
                return None
            found = manifest.read(path)
            if found is not None and _copy(folder, place, found):
                _remove_others(place, {path.name, *found.files})
                return step
    if manifest.find(folder) == known:  # else its training has just removed them
        raise UserError(f"{folder} has no state that is intact; train on from an older copy, or anew.")
    return None


def _newest(folder: Path) -> int:
    """The step of the newest state whose files are there in their full size; -1 if there is none."""
    for step, path in manifest.find(folder):
        found = manifest.read(path)
        if found is not None and all(manifest.is_whole(folder / name, one) for name, one in found.files.items()):
            return step
    return -1


def _copy(folder: Path, place: Path, found: manifest.Manifest) -> bool:
    """Copy a state's files, then its manifest; False if one is damaged, or has just been removed."""
    if not all(_copy_file(folder / name, place / name, entry) for name, entry in found.files.items()):
        return False
    for name in _OTHERS:
        if files.is_file(folder / name) and not (folder / name).is_symlink():
            with files.writing(place):
                (place / name).unlink(missing_ok=True)  # if it is a link, writing would follow it
                shutil.copyfile(folder / name, place / name)
    with files.writing(place):
        manifest.write(place, found.step, found.best_step, found.model_dump()["files"])
    # As old as it was there: `state_folders.tidy` removes the oldest, not those made here.
    with suppress(OSError, ValueError):  # its training has just removed the state
        _keep_age(folder, place)
    return True


def _keep_age(source: Path, place: Path) -> None:
    """Give the files of a copied state the time at which the training last wrote its own.

    Of a state older than `tidy` allows, it is a later one: what was carried is to be used.
    """
    last = max(path.stat().st_mtime for path in source.glob("step-*.json"))
    last = max(last, time.time() - _OLDEST)
    for path in place.iterdir():
        os.utime(path, (last, last))


def _copy_file(source: Path, target: Path, entry: manifest.Entry) -> bool:
    """Copy a file, unless it is there already, and compare the copy with its entry."""
    if manifest.is_intact(target, entry):
        return True
    if not manifest.is_whole(source, entry):
        return False
    try:
        given = source.open("rb")
    except FileNotFoundError:  # its training has just removed it
        return False
    with given, files.writing(target), durable.replacing(target) as file:
        shutil.copyfileobj(given, file, 1 << 20)
    return file.entry() == entry.model_dump()


def _remove_others(place: Path, kept: set[str]) -> None:
    for path in [*place.glob("step-*"), *place.glob("best-*")]:
        if path.name not in kept:
            with suppress(OSError):
                path.unlink()
