"""The command `forget`: shows what a project has of a speaker, removes it, and says what lies elsewhere."""

import os
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from rich.table import Table

from voicetune import files, moving, space
from voicetune.data import decisions
from voicetune.data.readers.source import Source
from voicetune.errors import UserError, shown
from voicetune.forget import alone, plan
from voicetune.forget.plan import LISTED, REMOVED, Plan
from voicetune.git import git
from voicetune.terminal import console

OBJECTS, PATHS = "objects.txt", "paths.txt"
_GIVEN = (
    "copies that you gave away (exported models, samples, the report, the listening page, clones of this repository):"
    " ask everybody who has one to delete it, and take down what is published"
)


def run(root: Path, speaker: str, sources: list[Source], yes: bool) -> None:
    """Show what a speaker has in a project, and remove it.

    Args:
        yes: remove it; otherwise it is only shown.

    Raises:
        UserError: see `plan.make` and `alone.hold`; or something cannot be removed. A second run goes on.
    """
    with alone.hold(root) if yes else nullcontext():
        found = plan.make(root, speaker, sources)
        console.print(_table(found, root))
        if yes:
            _write_lists(found)
            _remove(found, root)
    print(shown(f"{speaker}: {'removed' if yes else 'nothing is removed; the same command with --yes removes this'}"))
    print("What is left to do:" if yes else "What is left to do then:")
    for number, sentence in enumerate(_left(found, root), start=1):
        print(shown(f"{number}. {sentence}."))


def _table(found: Plan, root: Path) -> Table:
    shown_ = Table("what", "files", "size", "for example")
    shown_.columns[1].justify = shown_.columns[2].justify = "right"
    for group in found.groups:
        inside = [one for path in group.paths for one in _files_in(path)]
        size = space.readable(sum(one.lstat().st_size for one in inside))
        path = group.paths[0]
        name = path.relative_to(root) if path.is_absolute() and path.is_relative_to(root) else path
        shown_.add_row(group.what, str(len(inside)), size, shown(name))
    for what, names in (
        ("experiments of DVC", found.experiments),
        (f"rows of {decisions.PATH}", found.decisions),
    ):
        if names:
            shown_.add_row(what, str(len(names)), "", shown(names[0]))
    return shown_


def _files_in(path: Path) -> list[Path]:
    if path.is_symlink() or not path.is_dir():
        return [path]
    return [Path(place, name) for place, _, names in os.walk(path) for name in names]


def _write_lists(found: Plan) -> None:
    """Write the lists of objects in remotes and of paths in git's history. This comes before any removal, because they
    are made from what is removed. The lines of an earlier run that was killed are kept."""
    for path, lines in _lists(found).items():
        files.check_own(path)
        if lines:
            with files.writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            files.put(path, "".join(f"{line}\n" for line in lines).encode())


def _lists(found: Plan) -> dict[Path, list[str]]:
    """The objects as paths in a remote, and the paths in git's history: what earlier runs listed, and what is new."""
    objects = [f"files/md5/{one[:2]}/{one[2:]}" for one in found.objects]
    lists = {}
    for name, lines in ((OBJECTS, [*objects, *found.runs]), (PATHS, found.committed)):
        path = LISTED / found.speaker / name
        known = path.read_text(encoding="utf-8").splitlines() if files.is_file(path) else []
        lists[path] = list(dict.fromkeys([*known, *lines]))
    return lists


def _remove(found: Plan, root: Path) -> None:
    if found.decisions:
        _remove_rows(set(found.decisions))
    for group in found.groups:
        for path in group.paths:
            try:
                _remove_path(path)
            except OSError as error:
                raise UserError(files.refused(error.filename or path, error, "removed")) from None
    for name in found.experiments:
        git(root, "update-ref", "-d", name)
    for place in (*space.MADE, str(REMOVED)):
        space.remove_empty(root / place, root)


def _remove_path(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        moving.unlink(path)
        with suppress(OSError):  # it has other files
            path.parent.rmdir()
        return
    files.check_own(REMOVED)
    gone = path
    if path != REMOVED:  # half a folder would not be found again: a list without its sounds, a model without its facts
        REMOVED.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # the folder is on another disk
            gone = path.rename(REMOVED / path.as_posix().replace("/", "-"))
    moving.remove_tree(gone)


def _remove_rows(ids: set[str]) -> None:
    """Rewrite data/decisions.csv without some rows."""
    decisions.write(decisions.PATH, [one for one in decisions.read_project().values() if one.id not in ids])


def _left(found: Plan, root: Path) -> Iterator[str]:
    """Sentences, without their full stop, about what this command does not do."""
    if found.sources:
        yield f"params.yaml: remove {_names(found.sources)} under prepare.sources"
    yield from (one.removesuffix(".") for one in found.by_hand)
    yield (
        "make the results again from the other speakers, and commit: `dvc repro && git add -A && git commit`; if"
        " `prepare.sources` has no other speaker, add one first, or restore the default with `git restore params.yaml`"
    )
    yield (
        "sounds that `say` wrote elsewhere than into `said` (`--out`): remove them by hand, before you commit; their"
        " metadata says that a model speaks"
    )
    (objects, in_remotes), (paths, in_git) = _lists(found).items()
    if in_remotes and (remotes := _remotes(root)):
        yield from _in_remotes(in_remotes, objects, remotes)
        if found.unlisted:
            yield (
                f"{found.unlisted} folders of results are not in this cache, so what they have in a remote is not"
                " listed; `dvc fetch --all-commits --run-cache` before this command lists and removes it too"
            )
    if in_git:
        yield (
            f"git's history has {len(in_git)} files of these recordings, such as {in_git[0]}: in a fresh clone, with"
            f" git-filter-repo installed, run `git filter-repo --invert-paths --paths-from-file {root / paths}`, then"
            " `git remote add origin ADDRESS` (git-filter-repo removes it), `git push --force --all` and `git push"
            " --force --tags`, and make all other clones anew"
        )
    yield _GIVEN


def _in_remotes(paths: list[str], listed: Path, remotes: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, settings in remotes.items():
        url = str(settings.get("url"))
        count = sum(Path(url, path).exists() for path in paths) if Path(url).is_absolute() else len(paths)
        has = "has" if Path(url).is_absolute() else "may have"
        yield (
            f"the remote '{name}' ({url}) {has} {count} of these objects: remove there what {listed} lists, as paths"
            f" below that address. If nobody else needs that remote, `dvc gc --workspace --cloud --remote {name}` does"
            " it, after the commit; but it also removes, there and here, the results of all other branches, tags and"
            " experiments"
        )


def _remotes(root: Path) -> dict[str, dict[str, Any]]:
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return dict(repo.config["remote"])


def _names(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
