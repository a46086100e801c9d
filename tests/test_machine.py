"""machine.json: which stage ran on which machine, and a merge conflict in the file."""

import os
import subprocess
import sys

import pytest

from voicetune import entry, machine
from voicetune.commands import runs
from voicetune.errors import UserError
from voicetune.params import whole


def facts(threads: int) -> machine.Facts:
    return {"processor": "x86_64 Some 1 2", "threads": threads, "packages": {}}


def run_on(monkeypatch, threads: int, stage: str) -> None:
    monkeypatch.setattr(machine, "facts", lambda whole_machine=False: facts(threads))
    machine.note(stage)


def test_stages_on_equal_machines_share_an_entry(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("prepare", "encode", "prepare"):
        run_on(monkeypatch, 2, name)
    first = machine.PATH.read_bytes()
    run_on(monkeypatch, 2, "encode")
    assert machine.PATH.read_bytes() == first
    run_on(monkeypatch, 8, "encode")
    assert [(known["threads"], stages) for known, stages in machine.read()] == [(8, {"encode"}), (2, {"prepare"})]


def test_only_the_process_of_rank_0_writes_machine_json(tmp_path, monkeypatch):
    """torchrun's processes end at the same moment and would write the same file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["src/prepare.py"])
    monkeypatch.setattr(whole, "load", lambda: None)
    monkeypatch.setattr(os, "_exit", lambda status: None)
    monkeypatch.setattr(machine, "facts", lambda: facts(2))
    monkeypatch.setenv("RANK", "1")
    entry.run(lambda: None)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("RANK", "0")
    entry.run(lambda: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["machine.json", "metrics"]


ODD = (
    "",
    "null",
    "{}",
    "[1]",
    '[{"stages": 1}]',
    '[{"stages": [1]}]',
    '[{"stages": ["a"], "packages": []}]',
    '[{"stages": ["a"], "packages": {"torch": null}}]',
    "[" * 9999,
    '[{"stages": ["a"], "threads": ' + "9" * 9999 + "}]",
)


@pytest.mark.parametrize("content", ODD)
def test_a_malformed_file_counts_as_missing(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    machine.PATH.write_text(content)
    assert machine.read() == []
    with pytest.raises(UserError, match=r"machine\.json is missing or damaged"):
        runs.explain(None)


def test_a_pipe_counts_as_missing_and_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(machine.PATH)
    assert machine.read() == []
    run_on(monkeypatch, 2, "prepare")
    assert [stages for _, stages in machine.read()] == [{"prepare"}]


def test_a_merge_conflict_is_one_sentence_and_keeps_every_entry(tmp_path, monkeypatch, capsys):
    def git(*words: str, ok: bool = True) -> None:
        done = subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], capture_output=True)
        assert (done.returncode == 0) == ok, done.stderr

    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    run_on(monkeypatch, 2, "prepare")
    git("add", "."), git("commit", "-q", "-m", "2")
    git("checkout", "-q", "-b", "other")
    run_on(monkeypatch, 7, "prepare")
    git("commit", "-q", "-a", "-m", "7")
    git("checkout", "-q", "main")
    run_on(monkeypatch, 9, "prepare")
    git("commit", "-q", "-a", "-m", "9")
    git("merge", "other", ok=False)

    conflict = machine.PATH.read_bytes()
    run_on(monkeypatch, 2, "encode")
    assert machine.PATH.read_bytes() == conflict
    assert "git checkout --ours machine.json" in capsys.readouterr().err
    with pytest.raises(UserError, match="merge conflict"):
        runs.explain(None)
    git("checkout", "--ours", "machine.json")
    assert [known["threads"] for known, _ in machine.read()] == [9]
