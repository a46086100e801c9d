"""The trials of a sweep on the disk: what was planned, and a line for each trial that has ended."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from voicetune import files
from voicetune.errors import UserError
from voicetune.git import git
from voicetune.params import whole
from voicetune.revisions import snapshots

ROOT = Path("sweeps")
PLAN, JOURNAL, STOP, LOGS = FILES = "plan.json", "trials.jsonl", "stop", "logs"
_RESULTS = ("params.yaml", "dvc.lock", "machine.json", "metrics/")  # of a run, in git
Curve = list[tuple[int, float]]


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


def name_of(sweep: str, number: int) -> str:
    """The name of a trial's experiment."""
    return f"{sweep}-{number:03d}"


def begin(folder: Path, plan: dict[str, Any]) -> None:
    """Write down what the sweep tries, or check that it is what an earlier run of the sweep wrote down.

    Raises:
        UserError: the sweep was begun with something else, or in another commit.
    """
    path = folder / PLAN
    if not path.exists():
        with files.writing(folder):
            (folder / LOGS).mkdir(parents=True, exist_ok=True)
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


def read(folder: Path) -> list[Trial]:
    """The trials that were done or pruned, in the order in which they ended. Others are tried again.

    A last line that was cut off is skipped.
    """
    path = folder / JOURNAL
    found: dict[int, Trial] = {}
    for line in path.read_bytes().splitlines() if files.is_file(path) else []:
        try:
            trial = _TRIAL.validate_json(line)
        except ValidationError:
            continue
        if trial.ended != "failed":
            found.setdefault(trial.number, trial)
    return list(found.values())


def add(folder: Path, trial: Trial) -> None:
    """Write down a trial that has ended."""
    path = folder / JOURNAL
    with files.writing(path), path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(f"\n{json.dumps(asdict(trial))}\n")  # on a new line, even if the last write was cut off


def head() -> str:
    """The commit that the workspace is at.

    Raises:
        UserError: git tracks files that differ from it, or there is none.
    """
    changed = _git("status", "--porcelain", "--untracked-files=no")
    if changed:
        names = ", ".join(line[3:] for line in changed.splitlines()[:3])
        raise UserError(f"a sweep starts from a commit, but {names} differ from it; commit them, or restore them.")
    return _git("rev-parse", "HEAD")


def find_experiment(name: str) -> str | None:
    """The commit of the experiment of a name whose parent is HEAD; None if there is none."""
    refs = _git("for-each-ref", "--format=%(refname) %(objectname)", f"refs/exps/**/{name}").splitlines()
    head = _git("rev-parse", "HEAD")
    return next((commit for ref, commit in map(str.split, refs) if head in ref.replace("/", "")), None)


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


def check_alone(commit: str, name: str, values: dict[str, str]) -> None:
    """Check that an experiment differs from HEAD in its values and its results alone.

    `dvc exp run` takes along what was edited since: code, other parameters, recordings.

    Raises:
        UserError: it differs in more.
    """
    changed = [one for one in _git("diff", "--name-only", "HEAD", commit).splitlines() if not one.startswith(_RESULTS)]
    before, after = (snapshots.flatten(yaml.safe_load(_git("show", f"{one}:params.yaml"))) for one in ("HEAD", commit))
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
