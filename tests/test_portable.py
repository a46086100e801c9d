"""What Windows lacks is taken away here: open files that can be renamed, modules, make, names of files that differ only
in capitals. Nobody has run voicetune on Windows yet."""

import ast
import builtins
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_restarts import EXACT
from test_training import BY_MEL_CE, Curve, bytes_of, settings_with

import run as run_script
from voicetune import copies, files, moving, outputs
from voicetune.data import audio
from voicetune.data.dataset import Dataset
from voicetune.data.readers import lists, read
from voicetune.data.readers.ljspeech import LJSpeechSource
from voicetune.errors import UserError
from voicetune.forget import command as forgetting
from voicetune.training import durable, phase, state_folders

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
NOT_ON_WINDOWS = ("fork", "link", "pread", "pwrite", "uname", "getuid", "geteuid", "mkfifo", "fchmod")
MODULES = {"fcntl", "grp", "pwd", "resource", "termios"}


def open_below(path: Path) -> list[str]:
    """The files of this process, open or mapped into memory, at a path or below it."""
    held = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    held += re.findall(r" (/[^\n]*)$", Path("/proc/self/maps").read_text(encoding="utf-8"), re.MULTILINE)
    real = os.path.realpath(path)
    return [name for name in held if name == real or name.startswith(real + "/")]


@pytest.fixture
def like_windows(monkeypatch):
    """A file that is open can be neither renamed, replaced nor deleted, and voicetune finds no module of Unix."""
    import_any = builtins.__import__

    def refuse_unix(name, globals=None, *more, **named):
        if name in MODULES and (globals or {}).get("__name__", "").startswith("voicetune"):
            raise ImportError(f"No module named '{name}'")
        return import_any(name, globals, *more, **named)

    def refusing(do):
        def act(*paths, **more):
            for path in paths:
                if held := open_below(path):
                    raise PermissionError(errno.EACCES, f"open: {held}", str(path))
                if os.path.isfile(path) and not os.lstat(path).st_mode & 0o200 and do.__name__ in ("unlink", "remove"):
                    raise PermissionError(errno.EACCES, "it is read-only", str(path))
            return do(*paths, **more)

        return act

    monkeypatch.setattr(builtins, "__import__", refuse_unix)
    monkeypatch.setattr(shutil, "_use_fd_functions", False)  # so that it names whole paths
    for name in ("rename", "replace", "unlink", "remove", "rmdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    for name in NOT_ON_WINDOWS:
        monkeypatch.delattr(os, name)
    open_any = os.open

    def refuse_folders(path, *more, **named):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "a folder cannot be opened", str(path))
        return open_any(path, *more, **named)

    monkeypatch.setattr(os, "open", refuse_folders)
    for module in (durable, moving):
        monkeypatch.setattr(module, "sys", SimpleNamespace(platform="win32", version_info=sys.version_info))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="open files are found in /proc")
def test_the_refusal_of_open_files_works(tmp_path, like_windows):
    (tmp_path / "folder").mkdir()
    with (tmp_path / "folder/a").open("w", encoding="utf-8"):
        for act in (lambda: (tmp_path / "folder/a").unlink(), lambda: (tmp_path / "folder").rename(tmp_path / "b")):
            with pytest.raises(PermissionError):
                act()
    (tmp_path / "folder").rename(tmp_path / "b")
    shutil.rmtree(tmp_path / "b")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="open files are found in /proc")
@pytest.mark.usefixtures("one_thread")
def test_a_phase_trains_publishes_and_removes_its_state(small_base, dataset, tmp_path, monkeypatch, request):
    def train(place: Path) -> dict[str, str]:
        place.mkdir()
        monkeypatch.chdir(place)
        settings = settings_with(**EXACT)
        phase.run("train_phase1", settings, BY_MEL_CE, small_base, Path("out"), Dataset(dataset), Curve())
        return bytes_of(place / "out")

    usual = train(tmp_path / "usual")
    request.getfixturevalue("like_windows")
    assert train(tmp_path / "windows") == usual
    assert list((tmp_path / "windows/state").iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="open files are found in /proc")
def test_read_only_files_are_removed(tmp_path, monkeypatch, like_windows):
    """DVC makes the objects of its cache read-only, and so are files that are hard links to them."""
    monkeypatch.chdir(tmp_path)

    def make(path: str) -> Path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("secret")
        Path(path).chmod(0o444)
        return Path(path)

    with pytest.raises(PermissionError):
        make("cache/ab/cd").unlink()
    forgetting._remove_path(Path("cache/ab/cd"))
    assert not Path("cache/ab").exists()
    for remove in (forgetting._remove_path, copies.remove):
        make("voice/deep/model.pth")
        remove(Path("voice"))
        assert not list(tmp_path.rglob("model.pth"))
    make("out/deep/model.pth")
    outputs.make_empty(Path("out"))
    assert list(Path("out").iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="open files are found in /proc")
def test_what_another_program_reads_is_renamed_later_and_removed_later(tmp_path, monkeypatch, like_windows):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("weights")
    waits = []
    reader = old.open(encoding="utf-8")

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            reader.close()

    monkeypatch.setattr(moving, "time", SimpleNamespace(sleep=sleep))
    moving.rename(old, new)
    assert (waits, new.read_text()) == ([0.05, 0.1, 0.2], "weights")
    with new.open(encoding="utf-8"):
        moving.drop(new)
        assert new.exists()
    moving.drop(new)
    assert not new.exists()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="open files are found in /proc")
def test_results_replace_earlier_ones(tmp_path, like_windows):
    for content in (b"1", b"2"):
        with copies.whole(tmp_path / "voice", tmp_path / "voice.part") as part:
            (part / "weights").write_bytes(content)
        files.put(tmp_path / "page.html", content)
    assert (tmp_path / "voice/weights").read_bytes() == (tmp_path / "page.html").read_bytes() == b"2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "voice"]


def test_a_state_in_use_is_seen_and_named(tmp_path):
    place = tmp_path / f"train_phase1-{'0' * 16}"
    with state_folders.locked(place):
        assert [one.used for one in state_folders.find(tmp_path)] == [True]
        told = rf"^another training \(process {os.getpid()}\) uses {re.escape(str(place))}; wait for it"
        with pytest.raises(UserError, match=told), state_folders.locked(place):
            pass
    assert [one.used for one in state_folders.find(tmp_path)] == [False]


def test_clips_that_differ_only_in_capitals_are_refused_where_they_share_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw/wavs").mkdir(parents=True)
    (tmp_path / "raw/metadata.csv").write_text("a|One.\nA|Two.\n", encoding="utf-8")
    for name in ("a", "A"):
        audio.write(tmp_path / f"raw/wavs/{name}.wav", np.zeros(2205, np.float32))
    source = LJSpeechSource(name="anna", reader="ljspeech", path="raw", speaker="anna", language="en")
    assert [one.id for one in read([source])] == ["anna-a", "anna-A"]
    monkeypatch.setattr(files, "ignores_case", lambda _: True)
    with pytest.raises(UserError, match=r"^the clips 'anna-a' and 'anna-A' differ only in capitals"):
        read([source])


def test_a_file_system_with_capitals_is_told_from_one_without(tmp_path, monkeypatch):
    (tmp_path / "Data").mkdir()
    assert not files.ignores_case(tmp_path / "Data")
    (tmp_path / "dATA").symlink_to("Data")  # what a file system without capitals answers
    assert files.ignores_case(tmp_path / "Data")
    (tmp_path / "Data/2026").mkdir()
    assert files.ignores_case(tmp_path / "Data/2026")
    assert not files.ignores_case(Path("/"))
    monkeypatch.setattr(type(tmp_path), "__eq__", lambda one, other: str(one).lower() == str(other).lower())
    assert files.ignores_case(tmp_path / "Data"), "on Windows, paths that differ in capitals are equal"


@pytest.mark.parametrize("id", ["12:30", "what?", "a*b", "<a>", 'a"b', "a|b"])
def test_ids_that_no_file_of_windows_can_have_are_refused_there(id, monkeypatch):
    lists.check_id(id, "anna", "list.csv, line 1")
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UserError, match=r"^list.csv, line 1 has the id .* but no file of Windows can have"):
        lists.check_id(id, "anna", "list.csv, line 1")


def calls_that_write_text(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        mode = next((a.value for a in node.args[:1] if isinstance(a, ast.Constant)), "")
        if node.func.attr == "write_text" or (node.func.attr == "open" and mode in ("w", "a", "x")):
            yield node


def test_texts_are_written_in_utf8_with_the_same_line_ends_everywhere():
    found = [(path, node) for path in SOURCES for node in calls_that_write_text(path)]
    assert len(found) > 10
    for path, node in found:
        assert {"encoding", "newline"} <= {one.arg for one in node.keywords}, f"{path}, line {node.lineno}"


def fake_project(place: Path, status: int = 0) -> Path:
    """A folder with run.py, and a virtual environment whose python writes down what it is called with."""
    (place / ".venv/bin").mkdir(parents=True)
    shutil.copy(ROOT / "run.py", place)
    for name in ("requirements.lock", "pyproject.toml"):
        (place / name).touch()
    python = place / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\necho "$@" >> "{place}/called"\ncommand -v python >> "{place}/path"\nexit {status}\n')
    python.chmod(0o755)
    (place / ".venv/.ready").touch()
    return place


def call(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(place / "run.py"), *arguments], capture_output=True, text=True, check=False
    )


def test_run_py_runs_what_make_runs(tmp_path):
    place = fake_project(tmp_path / "with space")
    assert call(place, "repro").returncode == 0
    assert (place / "called").read_text() == "-m voicetune check\n-m dvc repro\n-m voicetune verdict\n"
    assert set((place / "path").read_text().split("\n")) == {str(place / ".venv/bin/python"), ""}
    (place / "called").unlink()
    assert call(place, "test").returncode == 0
    assert (place / "called").read_text() == "-m pytest -q -n 2 --dist loadfile\n"


@pytest.mark.slow
def test_the_torch_without_cuda_is_a_choice_that_is_kept(tmp_path, monkeypatch):
    place = fake_project(tmp_path)
    shutil.copy(ROOT / "requirements.lock", place)
    (place / ".venv/.ready").unlink()
    monkeypatch.setenv("TORCH", "cpu")
    assert call(place, "setup").returncode == 0
    told = (place / "called").read_text()
    assert f"--extra-index-url {run_script.CPU_TORCH} -r {place}/.venv/requirements-cpu.txt" in told
    before, kept = (ROOT / "requirements.lock").read_text(), (place / ".venv/requirements-cpu.txt").read_text()
    gone = {line.split("==")[0] for line in set(before.splitlines()) - set(kept.splitlines())}
    assert {"triton", "nvidia-cublas", "nvidia-nccl-cu13"} <= gone
    assert gone.isdisjoint({"torch", "nvidia-ml-py", "torchaudio"})
    (place / "called").unlink()
    monkeypatch.delenv("TORCH")
    assert call(place, "setup").returncode == 0
    assert not (place / "called").exists(), "it is ready"
    monkeypatch.setenv("TORCH", "cuda")
    found = call(place, "setup")
    assert (found.returncode, found.stderr.split(";")[0]) == (1, ".venv has torch for cpu")
    monkeypatch.setenv("TORCH", "gpu")
    assert "should be cpu or cuda" in call(place, "setup").stderr


def test_run_py_ends_with_the_status_of_what_failed(tmp_path):
    place = fake_project(tmp_path, status=7)
    assert call(place, "repro").returncode == 7
    assert (place / "called").read_text() == "-m voicetune check\n"


def test_after_ctrl_c_run_py_waits_for_its_command(tmp_path):
    place = fake_project(tmp_path)
    python = place / ".venv/bin/python"
    trap = 'trap "" INT'
    python.write_text(f'#!/bin/sh\n{trap}\necho > "{place}/began"\nsleep 2\necho > "{place}/ended"\nexit 3\n')
    process = subprocess.Popen([sys.executable, str(place / "run.py"), "repro"], stderr=subprocess.PIPE, text=True)
    for _ in range(100):
        if (place / "began").exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=20)[1], process.returncode) == ("", 3)
    assert (place / "ended").exists()


def test_run_py_says_what_it_can_do(tmp_path):
    found = call(fake_project(tmp_path), "deploy")
    assert (found.returncode, found.stderr) == (1, "usage: python run.py setup | repro | test\n")


def test_run_py_refuses_another_python(monkeypatch, tmp_path):
    monkeypatch.setattr(run_script, "READY", tmp_path / "none")
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    with pytest.raises(SystemExit, match=r"^voicetune needs Python 3.11 to 3.13, this is 3.10; choose one"):
        run_script.setup()


def test_the_makefile_calls_run_py():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in run_script.COMMANDS:
        assert f"$(PYTHON) run.py {name}\n" in text
