"""Shows that a change of code changed no number: the same small training, by the code of two revisions.

    make compare-losses A=main B=my-branch        # A is HEAD and B the working tree, if nothing else is said

Each revision is checked out into a temporary folder. Its own stage scripts, with its own params.yaml made small,
prepare 24 clips of the recordings in git, and train both phases for some steps on the CPU. Then every value of the
curves, a hash of the weights after each optimizer step, and the files that the stages wrote are compared, in the order
in which they came. At the first difference this ends with status 1, and names the step.

Both sides use the current environment. So it shows nothing about a change of requirements.lock. It is modelled on
torchtitan's scripts/loss_compare.py.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from voicetune import entry
from voicetune.errors import UserError, quoted
from voicetune.params import reading
from voicetune.params.training import PHASES

ROOT = Path(__file__).resolve().parent.parent
HASHED = Path(__file__).with_name("hashed_steps.py")
LINES = 24  # recordings of the small dataset
SOURCE = {"name": "few", "reader": "ljspeech", "path": "data/raw/questions", "speaker": "quizmaster", "language": "en"}
LR = 5e-5  # low, so that a few steps improve the base, and phase 2 begins with what phase 1 trained
TOP = {"base": "tiny", "lr": LR, "device": "cpu", "devices": 1, "num_nodes": 1, "strategy": "ddp", "jobs": 1,
       "max_restarts": 0}  # fmt: skip
PREPARE = {"sources": [SOURCE], "validation": 0.2, "test": 0.2, "max_seconds": 11.6}
PHASE = {"epochs": 100, "batch_size": 4, "warmup_steps": 2, "eval_every": 2, "log_every": 1, "dropout": 0.1,
         "target_mel_ce": None, "patience": None, "select": "mel_ce"}  # fmt: skip
# The stages in their order, and the files of each that are compared.
STAGES = {
    "prepare": "data/clips/*", "quality": "data/quality/*", "base": "models/base/*.pth", "encode": "data/codes/*",
    "choose": "data/choice/*",
    "train_phase1": "models/phase1/*.pth", "train_phase2": "models/phase2/*.pth",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What one step of a training, or one stage, came to. values: by name, as the code wrote them."""

    name: str
    values: dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description="Do two revisions of the code train in the same numbers?")
    parser.add_argument("a", nargs="?", default="HEAD", help="a revision of git (HEAD)")
    parser.add_argument("b", nargs="?", help="another one (the working tree as it is, with files not yet added)")
    parser.add_argument("--steps", type=int, default=6, help="of each phase (6)")
    given = parser.parse_args()
    revisions = [commit_of(given.a), commit_of(given.b) if given.b else None]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the folders are removed then too
    with tempfile.TemporaryDirectory(prefix="voicetune-compare-") as place:
        sides = [train(Path(place, name), at, given.steps) for name, at in zip("AB", revisions, strict=True)]
    print(f"\n{'':24} {'mel CE of A':>20} {'mel CE of B':>20}  weights of A, of B")
    compare(*sides)
    print(f"no number differs: {len(sides[0])} rows, {given.steps} steps of each phase")


def commit_of(revision: str) -> str:
    """The hash of a revision's commit.

    Raises:
        UserError: there is no such revision.
    """
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if answer.returncode:
        raise UserError(f"there is no revision {quoted(revision)} here; `git log --oneline --all` lists them.")
    return answer.stdout.strip()


def unpack(tree: Path, commit: str | None) -> None:
    """Put the files of a commit into a new folder; those of the working tree that git does not ignore, if it is None.

    The folder is a clone and no worktree, so nothing stays behind in the repository's .git if the process is killed.
    """
    subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, tree], check=True)
    if commit:
        subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=tree, check=True)
        return
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in os.fsdecode(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout).split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)


def shrink(tree: Path, steps: int) -> None:
    """Make the training of a revision small: few recordings, few steps. Everything else stays as it has it.

    Raises:
        UserError: the revision has no such recordings, or its params.yaml cannot be read.
    """
    metadata, params = tree / SOURCE["path"] / "metadata.csv", tree / "params.yaml"
    if not metadata.is_file():
        raise UserError(f"side {tree.name} has no {metadata.relative_to(tree)}; take a later revision.")
    lines = metadata.read_text(encoding="utf-8").splitlines(keepends=True)
    metadata.write_text("".join(lines[:LINES]), encoding="utf-8")
    settings = reading.read_yaml(params) | TOP
    phase = PHASE | {"max_steps": steps}
    for name, small in {"prepare": PREPARE, "train_phase1": phase | {"lr": LR}, "train_phase2": phase}.items():
        if isinstance(settings.get(name), dict):  # if not, the stages say so
            settings[name] |= small
    params.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")


def train(tree: Path, commit: str | None, steps: int) -> list[Row]:
    """Unpack a revision, run its stages, and return what they came to, in order.

    Raises:
        UserError: a stage of this revision fails, and what it printed stands above; or it wrote none of its files.
    """
    unpack(tree, commit)
    shrink(tree, steps)
    rows = []
    for name, pattern in STAGES.items():
        if name == "quality" and not (tree / "src/quality.py").is_file():
            continue  # an earlier revision
        print(f"{tree.name} ({commit[:10] if commit else 'the working tree'}): {name}", flush=True)
        hashes = tree / f"{name}.txt"
        command = ["src/train.py", name] if name in PHASES else [f"src/{name}.py"]
        run_stage(tree, [sys.executable, str(HASHED), str(hashes), *command])
        if name in PHASES:
            rows += steps_of(name, tree / "metrics" / name / "plots/metrics", hashes)
        if not (written := sorted(tree.glob(pattern))):
            raise UserError(f"{name} of side {tree.name} wrote no {pattern}; correct STAGES in {Path(__file__).name}.")
        rows.append(Row(name, {path.name: sha256(path) for path in written}))
    return rows


def run_stage(tree: Path, command: list[str]) -> None:
    """Run a stage in a session of its own, which ends with this process: it must not write into a removed folder."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    with (tree / "log.txt").open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command, cwd=tree, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if status:
            log.seek(0)
            print(log.read())
            raise UserError(f"{' '.join(command[3:])} of side {tree.name} failed; what it printed stands above.")


def steps_of(phase: str, curves: Path, hashes: Path) -> list[Row]:
    """One row for each step of a phase: the values of dvclive's curves, and the hash of the weights after the step."""
    found: dict[int, dict[str, str]] = {}
    for path in sorted(curves.rglob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            step, value = line.split("\t")[:2]
            found.setdefault(int(step), {})[path.relative_to(curves).with_suffix("").as_posix()] = value
    first = min(found)  # before any step: the parent's validation
    for number, digest in enumerate(hashes.read_text(encoding="ascii").split(), start=1):
        found.setdefault(first + number, {})["weights"] = digest
    return [Row(f"{phase}, step {step - first}", found[step]) for step in sorted(found)]


def compare(a: list[Row], b: list[Row]) -> None:
    """Print the rows of both sides up to the first difference.

    Raises:
        UserError: there is a difference.
    """
    for one, other in zip(a, b, strict=False):
        print(_line(one, other))
        if one.name != other.name:
            raise UserError(f"A has {one.name} where B has {other.name}; the two do not take the same steps.")
        for what in sorted(one.values.keys() | other.values.keys()):
            first, second = one.values.get(what, "missing"), other.values.get(what, "missing")
            if first != second:
                raise UserError(f"{one.name}: {what} differs: {first} in A, {second} in B.")
    if len(a) != len(b):
        raise UserError(f"A has {len(a)} rows and B {len(b)}; the two do not take the same steps.")


def _line(*rows: Row) -> str:
    losses = [row.values.get("validation/mel_ce") or row.values.get("train/mel_ce", "") for row in rows]
    weights = [row.values.get("weights", "")[:8] for row in rows]
    return f"{rows[0].name:24} {losses[0]:>20} {losses[1]:>20}  {' '.join(weights)}".rstrip()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    entry.run(main)
