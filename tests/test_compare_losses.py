"""`make compare-losses`: two revisions train a little, and the first number that differs is named."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import compare_losses
import pytest
from compare_losses import Row
from test_pipeline import ROOT, clone, commit, edited, run

from voicetune.errors import UserError

SCRIPT = Path("bench/compare_losses.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
SAME = [Row("encode", {"codes": "1"}), Row("step 1", {"lr": "0.1", "weights": "a"}), Row("step 2", {"weights": "b"})]


@pytest.mark.parametrize("revision", ["nowhere", "HEAD~100000", "HEAD:README.md", "", "a b\x1b[2J", "--all"])
def test_a_revision_that_is_none_is_one_sentence(revision):
    command = [sys.executable, ROOT / SCRIPT, "--", "HEAD", revision or " "]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no revision '")
    assert done.stderr.endswith("`git log --oneline --all` lists them.\n")
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    assert done.stdout == ""


def test_equal_rows_are_printed_and_raise_nothing(capsys):
    compare_losses.compare(SAME, list(SAME))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["encode", "step", "step"]


@pytest.mark.parametrize(
    ("at", "values", "said"),
    [
        (0, {"codes": "2"}, "encode: codes differs: 1 in A, 2 in B."),
        (1, {"lr": "0.1", "weights": "c"}, "step 1: weights differs: a in A, c in B."),
        (1, {"weights": "a"}, "step 1: lr differs: 0.1 in A, missing in B."),
        (2, {"weights": "b", "new": "1"}, "step 2: new differs: missing in A, 1 in B."),
    ],
)
def test_the_first_difference_is_named(at, values, said):
    other = [*SAME[:at], Row(SAME[at].name, values), Row("step 3", {"later": "differs too"})]
    with pytest.raises(UserError) as raised:
        compare_losses.compare(SAME, other)
    assert str(raised.value) == said


def test_a_training_that_is_longer_is_a_difference():
    with pytest.raises(UserError, match="A has 3 rows and B 2"):
        compare_losses.compare(SAME, SAME[:2])
    with pytest.raises(UserError, match="A has step 1 where B has step 2"):
        compare_losses.compare(SAME, [SAME[0], SAME[2]])


def test_a_step_has_the_values_of_all_curves_and_the_hash_of_its_weights(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "lr.tsv").write_text("step\tlr\n7\t0.1\n8\t0.05\n")
    (tmp_path / "train/mel_ce.tsv").write_text("step\tmel_ce\n7\t3.25\n8\t3.125\n")
    (tmp_path / "validation.tsv").write_text("step\tmel_ce\n6\t3.5\n8\t3.0\n")
    (tmp_path / "hashes.txt").write_text("aa\nbb\n")
    assert compare_losses.steps_of("train_phase2", tmp_path, tmp_path / "hashes.txt") == [
        Row("train_phase2, step 0", {"validation": "3.5"}),
        Row("train_phase2, step 1", {"lr": "0.1", "train/mel_ce": "3.25", "weights": "aa"}),
        Row("train_phase2, step 2", {"lr": "0.05", "train/mel_ce": "3.125", "validation": "3.0", "weights": "bb"}),
    ]


def test_a_side_has_the_files_of_its_revision_or_of_the_working_tree(tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    for name in ("kept.py", "gone.py", ".gitignore"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("/ignored.py\n")
    run(repository, "git", "init", "-q")
    commit(repository, "first")
    (repository / "gone.py").unlink()
    (repository / "kept.py").write_text("changed")
    for name in ("new.py", "ignored.py"):
        (repository / name).touch()
    monkeypatch.setattr(compare_losses, "ROOT", repository)
    compare_losses.unpack(tmp_path / "A", compare_losses.commit_of("HEAD"))
    compare_losses.unpack(tmp_path / "B", None)
    found = {side: {path.name for path in (tmp_path / side).iterdir()} - {".git"} for side in "AB"}
    assert found == {"A": {"kept.py", "gone.py", ".gitignore"}, "B": {"kept.py", "new.py", ".gitignore"}}
    assert (tmp_path / "A/kept.py").read_text() == "/ignored.py\n"
    assert (tmp_path / "B/kept.py").read_text() == "changed"


def is_below(cwd: Path, folder: Path) -> bool:
    """Whether a process works below a folder. It may have ended, or be somebody else's."""
    try:
        return str(folder) in os.readlink(cwd)
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_after_it_was_stopped(tmp_path, number):
    worktrees = run(ROOT, "git", "worktree", "list")
    process = subprocess.Popen(
        [sys.executable, ROOT / SCRIPT], cwd=ROOT, env={**ENVIRONMENT, "TMPDIR": str(tmp_path)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    while not list(tmp_path.glob("*/A/log.txt")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert told.startswith("stopped: ")
    assert list(tmp_path.iterdir()) == []
    end = time.monotonic() + 20  # a killed grandchild is there until the kernel has taken it down
    while left := [one for one in Path("/proc").glob("[0-9]*/cwd") if is_below(one, tmp_path)]:
        assert time.monotonic() < end, left
        time.sleep(0.1)
    assert run(ROOT, "git", "worktree", "list") == worktrees


@pytest.mark.slow
def test_a_change_of_the_optimizer_is_seen_in_the_weights_of_the_first_step(tmp_path):
    folder = clone(tmp_path / "repository", (ROOT / "params.yaml").read_text(encoding="utf-8"))
    before = run(folder, "git", "status", "--porcelain")
    with edited(folder / "src/voicetune/training/optimization.py", "0.96)", "0.9601)"):
        command, environment = (
            [sys.executable, SCRIPT, "--steps", "2"],
            {**ENVIRONMENT, "PYTHONPATH": str(folder / "src")},
        )
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: train_phase1, step 1: weights differs: "), done.stderr
    assert run(folder, "git", "status", "--porcelain") == before
