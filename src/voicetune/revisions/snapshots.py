"""Copies the results of a revision into a temporary folder, from git and from DVC's cache. Checks out nothing.

DVC's own file system (`dvc.api`) looks into a remote for what the cache lacks, which may take long or ask for a key. So
the hashes are read from dvc.lock, and the files from the cache.
"""

import io
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from voicetune import files
from voicetune.errors import UserError, quoted
from voicetune.forget.cache import Cache, md5
from voicetune.forget.history import UNREADABLE, Loader
from voicetune.git import git
from voicetune.measures.compared import ROWS
from voicetune.params import reading
from voicetune.report.inputs import PHASES
from voicetune.revisions.naming import Revision

TRACKED = ("dvc.lock", "params.yaml", "machine.json", "metrics", "src")
RESULTS = (
    *(f"metrics/evaluate/{row}" for row in ROWS), *(f"metrics/{stage}" for stage in PHASES), "metrics/prepare.json",
    "data/quality/clips.csv", "data/clips/clips.csv", "data/samples",
)  # fmt: skip
_JUDGED, _CLIPS = "data/quality", "data/clips/clips.csv"
_FLOAT = re.compile(r"-?\d+(\.\d+)?e[+-]?\d+")  # DVC writes 1e-06, which PyYAML reads as a text
_SHOWN = 3  # names in a sentence
_ABSENT = object()
_OF_SYSTEMS = {".DS_Store", "desktop.ini", "Thumbs.db"}  # see .dvcignore


@dataclass(frozen=True)
class Snapshot:
    """The results of a revision.

    folder: has them as the project's folder has them. stages: of dvc.lock. sounds: the hash of each file of data/clips,
    by its name; empty if the cache lacks the list. missing: results that are not there. notes: a sentence each about
    what is missing or does not fit.
    """

    revision: Revision
    folder: Path
    stages: dict[str, dict[str, Any]]
    sounds: dict[str, str]
    missing: list[str]
    notes: list[str]

    def out(self, path: str) -> str:
        """The hash of a result, or an empty text."""
        return _outs(self.stages).get(path, "")

    def deps(self, start: str) -> dict[str, str]:
        """The hash of each file that a stage read, by its path, if the path begins so."""
        found = (dep for stage in self.stages.values() for dep in stage.get("deps") or [])
        return {str(one["path"]): str(one.get("md5")) for one in found if str(one["path"]).startswith(start)}

    def parameters(self) -> dict[str, Any]:
        """The parameters that the results were made with, see `flatten`."""
        return {key: value for stage in self.stages.values() for key, value in flatten(_params(stage)).items()}


def take(root: Path, revision: Revision, cache: Cache, folder: Path) -> Snapshot:
    """Copy the results of a revision into an empty folder.

    Raises:
        UserError: the revision has no dvc.lock, or a damaged one.
    """
    if revision.commit is None:
        for name in (*TRACKED, *RESULTS):
            _copy_all(root / name, folder / name)
    else:
        _extract(root, revision.commit, folder)
    stages = _stages(folder / "dvc.lock", revision)
    listed = cache.listing(_outs(stages).get("data/clips", ""))
    missing = _missing_here(stages, folder) if revision.commit is None else _restore(stages, cache, folder)
    missing = list(dict.fromkeys(missing))
    changed = _changed_here(stages, cache, folder) if revision.commit is None else []
    said = [_of_missing(missing, revision), _of_changed(changed), _of_stale(stages, folder)]
    notes = [f"{revision.name}: {sentence}" for sentence in said if sentence]
    return Snapshot(revision, folder, stages, listed, missing, notes)


def fetch(root: Path, snapshot: Snapshot) -> None:
    """Fetch the missing results of a commit from the remote into DVC's cache, and nothing else.

    `dvc fetch` does that for the workspace, or for all commits. Then DVC reads the pipeline of each commit, which takes
    minutes (2026-11-28: `dvc push --all-commits` of these results was not ready after 3 min 20 s, with 490 commits).

    Raises:
        UserError: the remote lacks a result, is not reached, or needs a package that is not installed.
    """
    from dvc.repo import Repo  # a second of imports

    try:
        with Repo(str(root)) as repo:
            repo.fetch(targets=snapshot.missing, revs=[snapshot.revision.commit], workspace=False)
    except Exception as error:  # each kind of remote has its own package, with its own errors for what is not reached
        reason = quoted(str(error) or type(error).__name__, 200)
        raise UserError(
            f"DVC cannot fetch the results of {snapshot.revision.name} ({reason}); correct that, or "
            "run this without --fetch, to see what there is."
        ) from None


def flatten(value: Any, start: str = "") -> dict[str, Any]:
    """The single values of nested parameters, by their dotted names. An entry of a list is named by its `name`."""
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        value = {str(one.get("name", i)): one for i, one in enumerate(value)}
    if not isinstance(value, dict) or (start and not value):
        return {start: float(value) if isinstance(value, str) and _FLOAT.fullmatch(value) else value}
    parts = (flatten(one, f"{start}.{key}" if start else str(key)) for key, one in value.items())
    return {key: found for part in parts for key, found in part.items()}


def _extract(root: Path, commit: str, folder: Path) -> None:
    """Copy the files that git tracks of a commit."""
    there = git(root, "ls-tree", "-z", "--name-only", commit, "--", *TRACKED).decode("utf-8", "replace").split("\0")
    if names := [name for name in there if name]:
        packed = git(root, "archive", "--format=tar", commit, "--", *names)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter=_plain)


def _plain(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """A file or folder that stays in the folder; None for a link, because a revision's links may lead anywhere."""
    try:
        return tarfile.data_filter(member, folder) if member.isreg() or member.isdir() else None
    except tarfile.FilterError:
        return None


def _copy_all(source: Path, target: Path) -> None:
    """Copy a file, or the plain files of a folder, through the links that DVC makes."""
    found = [source, *(Path(place, name) for place, _, names in os.walk(source) for name in names)]
    for path in found:
        if files.is_file(path) and "__pycache__" not in path.parts:
            copied = target / path.relative_to(source)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)


def _stages(path: Path, revision: Revision) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        raise UserError(
            f"{revision.name} ({revision.about}) has no dvc.lock, so it has no results; leave it out, or name one of "
            "`git log --oneline -- dvc.lock`."
        )
    try:
        found = yaml.load(files.read_text(path, "restore it with `git checkout`"), Loader)
        stages = found["stages"]
        for name, stage in stages.items():
            known = Snapshot(revision, path.parent, {name: stage}, {}, [], [])  # raises if a part of it is damaged
            known.out("")
            known.deps("")
            known.parameters()
    except UNREADABLE:
        raise UserError(
            f"the dvc.lock of {revision.name} is damaged, or holds a merge conflict; restore it with `git checkout`, or"
            " leave the revision out."
        ) from None
    return stages


def _outs(stages: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The hash of each result, by its path."""
    return {str(one["path"]): str(one.get("md5")) for stage in stages.values() for one in stage.get("outs") or []}


def _params(stage: dict[str, Any]) -> dict[str, Any]:
    found = (stage.get("params") or {}).get("params.yaml") or {}
    if not isinstance(found, dict):
        raise TypeError("the parameters of a stage are no mapping")
    return found


def _wanted(stages: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """The path, and the result with its hash, of each of RESULTS that the stages made: `a/b`, and `a` or `a/b/c`."""
    made = _outs(stages)
    for path in RESULTS:
        if path == _CLIPS and _JUDGED in made:
            continue  # stage quality writes the clips that the later stages use; early versions had no such stage
        for out, hash in made.items():
            if f"{path}/".startswith(f"{out}/") or out.startswith(f"{path}/"):
                yield path, out, hash


def _missing_here(stages: dict[str, dict[str, Any]], folder: Path) -> list[str]:
    return [path for path, _, _ in _wanted(stages) if not (folder / path).exists()]


def _parts(path: str, out: str, hash: str, cache: Cache) -> dict[str, str]:
    """The hash of each file of one of `_wanted`, by its path; empty if the cache lacks the list of a folder."""
    listed = {f"{out}/{name}": one for name, one in cache.listing(hash).items()}
    every = listed if hash.endswith(".dir") else {out: hash}
    return {name: one for name, one in every.items()
            if f"{name}/".startswith(f"{path}/") and ".." not in Path(name).parts}  # fmt: skip


def _changed_here(stages: dict[str, dict[str, Any]], cache: Cache, folder: Path) -> list[str]:
    """The results that are here with another content than dvc.lock names. Folders need their lists in the cache."""
    changed = []
    for path, out, hash in _wanted(stages):
        place = max(path, out, key=len)
        whole, named = folder / place, _parts(path, out, hash, cache)
        files_here = [whole] if whole.is_file() else [one for one in whole.rglob("*") if one.is_file()]
        own = [one for one in files_here if one.name not in _OF_SYSTEMS and not one.name.startswith("._")]
        here = {one.relative_to(folder).as_posix(): md5(one) for one in own}
        if here and named and here != named:
            changed.append(place)
    return list(dict.fromkeys(changed))


def _restore(stages: dict[str, dict[str, Any]], cache: Cache, folder: Path) -> Iterator[str]:
    """Copy from the cache what git does not track. Yields what the cache lacks."""
    for path, out, hash in _wanted(stages):
        if (folder / out).exists():  # git tracks it
            continue
        if hash.endswith(".dir") and hash not in cache.objects:
            yield max(path, out, key=len)
        for name, one in _parts(path, out, hash, cache).items():
            if one in cache.objects:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(cache.objects[one], folder / name)
            else:
                yield max(path, out, key=len)


def _of_missing(missing: list[str], revision: Revision) -> str:
    """The sentence about missing results."""
    if not missing:
        return ""
    if revision.commit is None:
        return (
            f"{_listed(missing)} are missing here; bring them back with `dvc pull {' '.join(missing)}`, or `dvc repro`."
        )
    return (
        f"DVC's cache lacks {_listed(missing)}; add --fetch to get them from a remote, if they were pushed (`dvc fetch "
        "--all-commits` gets the results of every commit)."
    )


def _of_changed(changed: list[str]) -> str:
    """The sentence about results that are those of another commit, of a run that goes on, or of a hand."""
    if not changed:
        return ""
    return (
        f"{_listed(changed)} are not what dvc.lock names, so the page may show another voice's results; `dvc checkout` "
        "brings back those that it names, or `dvc repro` makes new ones."
    )


def _of_stale(stages: dict[str, dict[str, Any]], folder: Path) -> str:
    """The sentence about parameters and code that changed after the results were made."""
    try:
        now = flatten(reading.read_yaml(folder / "params.yaml"))
    except UserError:
        return "its params.yaml cannot be read, so nobody can say whether the results were made with it."
    changed = set()
    for stage in stages.values():
        made = flatten(_params(stage))
        read = {key: now[key] for name in _params(stage) for key in now if f"{key}.".startswith(f"{name}.")}
        changed |= {key for key in made | read if made.get(key, _ABSENT) != read.get(key, _ABSENT)}
        deps = ((folder / str(dep["path"]), dep.get("md5")) for dep in stage.get("deps") or [])
        changed |= {path.relative_to(folder).as_posix() for path, hash in deps if _is_changed_code(path, hash, folder)}
    made_of = "its results were made with another version of its"
    return f"{made_of} {_listed(sorted(changed))}; `dvc repro` there makes new ones." if changed else ""


def _is_changed_code(path: Path, hash: Any, folder: Path) -> bool:
    return path.is_relative_to(folder / "src") and path.is_file() and md5(path) != hash


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
