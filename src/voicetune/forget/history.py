"""Reads what DVC's files say, in this folder, in every commit of git and in the run cache: what was made of what."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from yaml.composer import Composer

from voicetune.git import git
from voicetune.kept import voices
from voicetune.params import reading

_CHANGE = re.compile(rb":\d+ \d+ ([0-9a-f]{40,64}) ([0-9a-f]{40,64}) [A-Z]\d*\t([^\0\n]+)")
_FILES = ("dvc.lock", "params.yaml", "*.dvc")
_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML has it, is ten times faster
UNREADABLE = (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError, ArithmeticError)
"""What `Loader` raises for a text that is no YAML, is too deep, or has a value that its tag does not fit."""


class _Guard(Composer):
    """Composes in Python: libyaml's composer ends the whole process at 30,000 brackets. Rejects aliases that would
    expand into too many values, as any branch that somebody fetched may have them."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        node = super().compose_node(parent, index)
        if parent is None and node is not None and self.anchors:
            reading.check_size(node)
        return node


class Loader(_Guard, _FAST):
    """Loads a file of DVC, or a params.yaml, of any commit. Raises one of UNREADABLE."""

    def __init__(self, text: str | bytes):
        _FAST.__init__(self, text)
        self.anchors: dict[str, yaml.Node] = {}  # of Composer


@dataclass(frozen=True)
class Record:
    """What a stage made of what, or what a .dvc file names.

    deps: the hashes of what a stage read. outs: the hash of each path. sources: the sections of `prepare.sources` that
    the stage depended on.
    """

    deps: frozenset[str]
    outs: dict[str, str]
    sources: list[dict[str, Any]]


@dataclass(frozen=True)
class History:
    """records: of all commits, of this folder and of the run cache. current: those of dvc.lock in this folder.
    pointers: those of the .dvc files in this folder. sources: the sections of `prepare.sources` that any params.yaml
    had."""

    records: list[Record]
    current: list[Record]
    pointers: list[Record]
    sources: list[dict[str, Any]]


def read(root: Path, runs: Path) -> History:
    """Read everything.

    Args:
        runs: the folder of the run cache.

    Raises:
        UserError: git fails.
    """
    pointers = [*root.glob("data/**/*.dvc"), *root.glob(f"{voices.FOLDER}/*.dvc")]
    here = [path for path in (root / "dvc.lock", root / "params.yaml", *pointers) if path.is_file()]
    texts = [(path.relative_to(root).as_posix(), path.read_bytes()) for path in here]
    current = _records(*texts[0]) if texts and texts[0][0] == "dvc.lock" else []
    pointed = [one for name, text in texts if name.endswith(".dvc") for one in _records(name, text)]
    texts += [("run", path.read_bytes()) for path in sorted(runs.glob("*/*/*"))]
    texts += _committed(root)
    sources = [one for name, text in texts if name == "params.yaml" for one in _sources(_load(text))]
    return History([one for name, text in texts for one in _records(name, text)], current, pointed, sources)


def experiments(root: Path) -> list[tuple[str, list[Record]]]:
    """The reference of each experiment of DVC, and the records of its dvc.lock."""
    listed = git(root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").decode().split("\n")
    found = []
    for name, commit in (line.split(" ") for line in listed if line):
        has = git(root, "ls-tree", "--name-only", commit, "dvc.lock").strip()
        found.append((name, _records("dvc.lock", git(root, "show", f"{commit}:dvc.lock")) if has else []))
    return found


def committed_below(root: Path, folders: list[str]) -> list[bytes]:
    """The paths of the files below these folders that any commit of git has.

    One call of git lists them all, because git reads its whole history in each call. The folders are taken as they
    are written: a name may have the characters * and [.
    """
    if not folders:
        return []
    log = ("log", "--all", "-m", "--name-only", "--no-renames", "--diff-filter=AM", "--format=", "-z")
    listed = git(root, "--literal-pathspecs", *log, "--", *folders)
    return sorted({name.strip(b"\n") for name in listed.split(b"\0")} - {b""})


def outs_of(root: Path, pointer: Path) -> set[str]:
    """The hashes that a .dvc file in this folder names."""
    path = root / pointer
    found = _records(pointer.as_posix(), path.read_bytes()) if path.is_file() else []
    return {hash for one in found for hash in one.outs.values()}


def _committed(root: Path) -> Iterator[tuple[str, bytes]]:
    """The name and content of each version of _FILES in git, experiments and lost commits too."""
    listed = git(
        root, "log", "--all", "--reflog", "-m", "--raw", "--no-abbrev", "--no-renames", "--format=", "--", *_FILES
    )
    names = {blob: name for *blobs, name in _CHANGE.findall(listed) for blob in blobs if blob.strip(b"0")}
    for blob, name in names.items():
        yield name.decode("utf-8", "replace"), git(root, "cat-file", "blob", blob.decode())


def _load(text: bytes) -> dict[str, Any]:
    try:
        found = yaml.load(text, Loader)
    except UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}


def _records(name: str, text: bytes) -> list[Record]:
    if name == "params.yaml":
        return []
    found = _load(text)
    if name == "run":
        return [_record(found, "")]
    if name.endswith(".dvc"):
        return [_record(found, PurePosixPath(name).parent.as_posix())]
    stages = found.get("stages")
    return [_record(one, "") for one in stages.values()] if isinstance(stages, dict) else []


def _record(stage: Any, folder: str) -> Record:
    stage = stage if isinstance(stage, dict) else {}
    deps, outs = _sections(stage.get("deps")), _sections(stage.get("outs"))
    params = (stage.get("params") or {}).get("params.yaml") if isinstance(stage.get("params"), dict) else None
    return Record(
        frozenset(str(one["md5"]) for one in deps if one.get("md5")),
        {(PurePosixPath(folder) / str(one.get("path"))).as_posix(): str(one["md5"]) for one in outs if one.get("md5")},
        _sources(params),
    )


def _sources(params: Any) -> list[dict[str, Any]]:
    """The sections of sources in params.yaml, or in what dvc.lock has of it."""
    if not isinstance(params, dict):
        return []
    prepare = params.get("prepare")
    return _sections(params.get("prepare.sources") or (prepare.get("sources") if isinstance(prepare, dict) else None))


def _sections(value: Any) -> list[dict[str, Any]]:
    """The mappings in a list; none if it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
