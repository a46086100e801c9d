"""Finds the revisions that a user names: commits, DVC's experiments and the workspace."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voicetune.errors import UserError, quoted
from voicetune.git import git

WORKSPACE = "workspace"
MOST = 15  # revisions; the curves have so many kinds of lines
_EXPERIMENT = "refs/exps/"


@dataclass(frozen=True)
class Revision:
    """name: as the user gave it. commit: its full hash; None for the workspace. about: hash, date and subject."""

    name: str
    commit: str | None
    about: str


def find(root: Path, names: Sequence[str]) -> list[Revision]:
    """Find each revision. Of several names of one commit, the first counts.

    Args:
        names: anything that `git rev-parse` knows as a commit, a name of an experiment of DVC, or `workspace`, which is
            the folder as it is now, as for DVC.

    Raises:
        UserError: this is no git repository, there is no such revision, there are fewer than two different ones, or too
            many.
    """
    git(root, "rev-parse", "--git-dir")  # says so if this is no repository
    found: dict[str | None, Revision] = {}
    for name in names:
        one = _find(root, name)
        found.setdefault(one.commit, one)
    if len(found) > MOST:
        raise UserError(f"these are {len(found)} revisions, and a page shows at most {MOST}; name fewer.")
    if len(found) < 2:
        (only,) = found.values()
        same = f"these are names of one revision ({only.about})" if len(names) > 1 else "this is only one revision"
        raise UserError(f"{same}; name two or more, such as `voicetune compare HEAD {WORKSPACE}`.")
    return list(found.values())


def _find(root: Path, name: str) -> Revision:
    readable = os.fsencode(name).decode("utf-8", "replace")
    if name == WORKSPACE:
        return Revision(name, None, "the folder as it is now")
    if commit := _commit(root, name):
        return Revision(readable, commit, _about(root, commit))
    if commit := _experiment(root, name):
        return Revision(readable, commit, f"experiment {_about(root, commit)}")
    raise UserError(
        f"there is no revision {quoted(readable)}: git knows no commit of that name, and DVC no experiment; "
        "`git log --oneline -- dvc.lock` and `dvc exp list --all` list what there is."
    )


def _commit(root: Path, name: str) -> str:
    """The hash of a commit, or an empty text. The name stands after --end-of-options, so it is never an option."""
    asked = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    done = subprocess.run(asked, cwd=root, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def _experiment(root: Path, name: str) -> str:
    """The commit of an experiment, refs/exps/<2 digits>/<38 digits of its baseline>/<name>, or an empty text.

    As in DVC, the experiment whose baseline is HEAD counts if several have the name.
    """
    listed = git(root, "for-each-ref", "--format=%(refname) %(objectname)", _EXPERIMENT).decode("utf-8", "replace")
    found = {}
    for ref, commit in (line.rsplit(" ", 1) for line in listed.splitlines()):
        start, _, rest = ref.removeprefix(_EXPERIMENT).partition("/")
        baseline, _, own = rest.partition("/")
        if len(start) == 2 and own == name:
            found[start + baseline] = commit
    if len(found) > 1 and (here := _commit(root, "HEAD")) in found:
        return found[here]
    if len(found) > 1:
        commits = ", ".join(commit[:7] for commit in found.values())
        raise UserError(f"several experiments have the name {quoted(name)}; give a commit instead: {commits}.")
    return next(iter(found.values()), "")


def _about(root: Path, commit: str) -> str:
    return git(root, "log", "-1", "--format=%h of %cs: %s", commit).decode("utf-8", "replace").strip()
