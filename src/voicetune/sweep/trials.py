"""The trials of a sweep on the disk: what was planned, and a line for each trial that has ended."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from voicetune import files
from voicetune.errors import UserError
from voicetune.git import git
from voicetune.params import whole
from voicetune.revisions import snapshots

ROOT = Path("sweeps")
PLAN, JOURNAL, PROPOSED, STOP, LOGS = FILES = "plan.json", "trials.jsonl", "proposed.jsonl", "stop", "logs"
_RESULTS = ("params.yaml", "dvc.lock", "machine.json", "metrics/")  # of a run, in git
_LOOKS = 60  # seconds in which DVC's own change of the workspace has to end; it hashes the recordings meanwhile
Curve = list[tuple[int, float]]
T = TypeVar("T")


@dataclass(frozen=True)
class Trial:
    """A trial that has ended. curve: steps, and the validation mel CE in nats per token."""

    number: int
    values: dict[str, str]
    ended: Literal["done", "pruned", "failed"]
    curve: Curve
    seconds: float
    why: str = ""

    @property
    def best(self) -> float | None:
        """The lowest validation mel CE; None if nothing was measured."""
        return min((value for _, value in self.curve), default=None)


_TRIAL = TypeAdapter(Trial)
_PROPOSAL = TypeAdapter(tuple[int, dict[str, str]])


def name_of(sweep: str, number: int) -> str:
    """The name of a trial's experiment."""
    return f"{sweep}-{number:03d}"


def begin(folder: Path, plan: dict[str, Any]) -> None:
    """Write down what the sweep tries, or check that it is what an earlier run of the sweep wrote down.

    Raises:
        UserError: the sweep was begun with something else, or in another commit; or it is new, and experiments have its
            name.
    """
    path = folder / PLAN
    with files.writing(folder):
        (folder / LOGS).mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _check_new(folder.name, plan["commit"])
        files.put(path, (json.dumps(plan, indent=2) + "\n").encode())
        return
    try:
        before = json.loads(files.read_text(path, "choose another name for the sweep"))
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged; choose another name for the sweep, or remove {folder}.") from None
    for key, value in plan.items():
        if not isinstance(before, dict) or before.get(key) != value:
            was = before.get(key) if isinstance(before, dict) else None
            raise UserError(
                f"the sweep '{folder.name}' was begun with {key} {json.dumps(was)}, and not with {json.dumps(value)};"
                f" go on with that, choose another name, or remove {folder}."
            )


def _check_new(sweep: str, commit: str) -> None:
    """Raise UserError: experiments of an earlier sweep of this name are left, and would be taken for its trials."""
    names = [name for name, _ in _experiments(f"{sweep}-*", commit) if re.fullmatch(r"\d{3,}", name[len(sweep) + 1 :])]
    if names:
        raise UserError(
            f"{len(names)} experiments of an earlier sweep '{sweep}' are left; remove them with"
            f" `dvc exp remove {' '.join(sorted(names))}`, or choose another name."
        )


def read(folder: Path) -> list[Trial]:
    """The trials that were done or pruned, in the order in which they ended. Others are tried again.

    A last line that was cut off is skipped.
    """
    found: dict[int, Trial] = {}
    for trial in _read_lines(folder / JOURNAL, _TRIAL):
        if trial.ended != "failed":
            found.setdefault(trial.number, trial)
    return list(found.values())


def add(folder: Path, trial: Trial) -> None:
    """Write down a trial that has ended."""
    _add_line(folder / JOURNAL, asdict(trial))


def read_proposed(folder: Path) -> dict[int, dict[str, str]]:
    """The values that a search has proposed, by the trial's number. A last line that was cut off is skipped."""
    return dict(_read_lines(folder / PROPOSED, _PROPOSAL))


def add_proposed(folder: Path, number: int, values: dict[str, str]) -> None:
    """Write down what a search proposes, so that a trial that was stopped goes on with it."""
    _add_line(folder / PROPOSED, (number, values))


def _read_lines(path: Path, form: TypeAdapter[T]) -> Iterator[T]:
    """The lines of a file that have this form; none if it is not there."""
    for line in path.read_bytes().splitlines() if files.is_file(path) else []:
        with suppress(ValidationError):
            yield form.validate_json(line)


def _add_line(path: Path, what: Any) -> None:
    with files.writing(path), path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(f"\n{json.dumps(what)}\n")  # on a new line, even if the last write was cut off


def head() -> str:
    """The commit that the workspace is at.

    Raises:
        UserError: git tracks files that differ from it, or there is none.
    """
    # Without the optional locks, because a trial of DVC may write the index at the same time.
    changed = _git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    if changed:
        names = ", ".join(line[3:] for line in changed.splitlines()[:3])
        raise UserError(f"a sweep starts from a commit, but {names} differ from it; commit them, or restore them.")
    return _git("rev-parse", "HEAD")


def check_start(commit: str) -> None:
    """Check that the workspace is still at the commit that the sweep began from.

    While DVC puts a trial in its queue, the workspace is another one for a moment, so this waits a little.

    Raises:
        UserError: it is at another commit, or git tracks files that were changed.
    """
    for left in reversed(range(_LOOKS)):
        try:
            if (now := head()) == commit:
                return
            told = f"the sweep began from commit {commit[:10]}, and HEAD is {now[:10]}; check out the first one again."
        except UserError as error:
            told = str(error)
        time.sleep(1.0 if left else 0.0)
    raise UserError(told)


def find_experiment(name: str, commit: str) -> str | None:
    """The commit of the experiment of a name that was begun from a commit; None if there is none."""
    return next((one for _, one in _experiments(name, commit)), None)


def _experiments(pattern: str, commit: str) -> list[tuple[str, str]]:
    """The names and commits of the experiments that were begun from a commit. * stands for anything."""
    refs = _git("for-each-ref", "--format=%(refname) %(objectname)", f"refs/exps/{commit[:2]}/{commit[2:]}/{pattern}")
    return [(ref.rpartition("/")[2], one) for ref, one in map(str.split, refs.splitlines())]


def check_values(commit: str, name: str, values: dict[str, str]) -> None:
    """Check that an experiment was run with these values, and is not that of an earlier sweep of the same name.

    Raises:
        UserError: it was run with others.
    """
    found: Any = yaml.safe_load(_git("show", f"{commit}:params.yaml"))
    for key, value in values.items():
        one = whole.find(found, key)
        if not _is_same(one, value):
            raise UserError(
                f"the experiment {name} has {key} {one} and not {value}, so it is of an earlier sweep; remove it with"
                f" `dvc exp remove {name}`, or choose another name."
            )


def check_alone(commit: str, begun: str, name: str, values: dict[str, str]) -> None:
    """Check that an experiment differs from the commit that it was begun from in its values and its results alone.

    `dvc exp run` takes along what was edited since: code, other parameters, recordings.

    Raises:
        UserError: it differs in more.
    """
    changed = [one for one in _git("diff", "--name-only", begun, commit).splitlines() if not one.startswith(_RESULTS)]
    before, after = (snapshots.flatten(yaml.safe_load(_git("show", f"{one}:params.yaml"))) for one in (begun, commit))
    for key in sorted(before.keys() | after.keys()):
        swept = any(key == one or key.startswith(f"{one}.") for one in values)
        if not swept and before.get(key) != after.get(key):
            changed.append(f"params.yaml ({key})")
    if changed:
        raise UserError(
            f"the experiment {name} also has changes in {', '.join(changed[:3])}, made while the sweep ran; restore"
            f" them, and remove it with `dvc exp remove {name}`."
        )


def _is_same(one: Any, written: str) -> bool:
    try:
        return float(one) == float(written)
    except (TypeError, ValueError):
        return one in (written, yaml.safe_load(written))


def _git(*arguments: str) -> str:
    return git(Path.cwd(), *arguments).decode("utf-8", "replace").rstrip("\n")
