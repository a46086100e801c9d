"""`doctor`: each lack of the machine and the project is one line with its remedy, before anything starts."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from voicetune.doctor import command, machine, project
from voicetune.doctor.machine import MISSING, OK, WARNING, Cards, Finding, Settings
from voicetune.recognition import recogniser

ROOT = Path(__file__).resolve().parent.parent
CARD = Cards(("NVIDIA H100",), 85.0, "550.54", "12.4", "")
NONE = Cards((), 0.0, "", "", "")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A project before its set-up, with git's own settings and no card."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[user]\n\tname = A\n\temail = a@a.invalid\n")
    monkeypatch.delenv("COQUI_TOS_AGREED", raising=False)
    return tmp_path


def line(root: Path, what: str) -> Finding:
    (found,) = (one for one in machine.look(root) if one.what.startswith(f"{what}:"))
    return found


def set_base(root: Path, base: str, device: str = "auto") -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("base: tiny", f"base: {base}").replace("device: auto ", f"device: {device} ")
    (root / "params.yaml").write_text(text, encoding="utf-8")


def without_packages(monkeypatch) -> None:
    find = machine.importlib.util.find_spec
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))


def test_it_runs_on_an_old_python_without_any_package(folder):
    """It has to say that Python is too old, so it must not end with a SyntaxError or an ImportError."""
    for path in (
        ROOT / "doctor.py",
        *(ROOT / "src/voicetune/doctor").glob("[!p]*.py"),
        ROOT / "src/voicetune/errors.py",
    ):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
    for name in ("doctor.py", "src/voicetune/__init__.py", "src/voicetune/errors.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src/voicetune/doctor", folder / "src/voicetune/doctor")
    alone = [sys.executable, "-I", "-S", "doctor.py"]  # no installed package is found
    done = subprocess.run(alone, cwd=folder, env=os.environ, capture_output=True, text=True)
    assert done.stderr == ""
    said = dict(reversed(one.split(maxsplit=1)) for one in done.stdout.splitlines()[:-1])
    assert said["set-up: not done yet; `make setup` does it, and needs a network (7 GB)"] == "warning"
    assert done.stdout.splitlines()[-2].endswith("are looked at after the set-up; run this again then")
    assert done.returncode == (MISSING in said.values())


def test_make_calls_it_before_any_set_up():
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "doctor", "PYTHON=any"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "any doctor.py\n"


@pytest.mark.parametrize(("version", "state"), [((3, 10), MISSING), ((3, 11), OK), ((3, 13), OK), ((3, 14), MISSING)])
def test_the_version_of_python(folder, monkeypatch, version, state):
    monkeypatch.setattr(machine.sys, "version_info", version)
    assert line(folder, "Python").state == state


def test_a_python_without_venv(folder, monkeypatch):
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    assert "has no venv; install it (Debian: apt-get install python3." in line(folder, "Python").what


def test_the_disk_has_to_hold_set_up_and_run(folder, monkeypatch):
    free = 9_900_000_000
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(0, 0, free))
    assert line(folder, "disk") == (OK, "disk: 9.9 GB are free; the run needs about 3 GB")
    without_packages(monkeypatch)
    told = "disk: 9.9 GB are free; the set-up needs about 7 GB and the run needs about 3 GB; make room, or work on"
    assert line(folder, "disk") == (MISSING, f"{told} another disk")
    set_base(folder, "xtts_v2")
    assert "the run needs about 40 GB; make room" in line(folder, "disk").what
    (folder / "models/base").mkdir(parents=True)
    assert line(folder, "disk") == (OK, "disk: 9.9 GB are free; the set-up needs about 7 GB")


def test_memory_of_a_machine_and_of_a_container(folder, monkeypatch, tmp_path):
    assert line(folder, "memory").state == OK
    set_base(folder, "xtts_v2")
    monkeypatch.setattr(machine.Path, "read_text", lambda path, encoding=None, errors=None: "8000000000\n")
    told = machine._memory(Settings("xtts_v2", "auto"))
    assert told == (WARNING, "memory: 8.0 GB, and the base xtts_v2 needs about 12; see docs/gpu.md")
    monkeypatch.setattr(machine.os, "sysconf", lambda name: 1 / 0, raising=False)
    monkeypatch.delattr(machine.os, "sysconf")
    assert machine._memory(Settings("tiny", "auto")).what.startswith("memory: not known")


def test_a_folder_that_cannot_be_written(folder, monkeypatch):
    assert line(folder, "writing").state == OK
    (folder / "models").mkdir()
    allowed = os.access
    monkeypatch.setattr(machine.os, "access", lambda path, mode: not path.endswith("models") and allowed(path, mode))
    assert line(folder, "writing") == (
        MISSING, f"writing: {folder}/models cannot be written; correct its owner and permissions"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("base", "device", "cards", "state", "said"),
    [
        ("tiny", "auto", NONE, OK, "the tiny base needs none"),
        ("xtts_v2", "auto", NONE, WARNING, "many hours on a CPU"),
        ("xtts_v2", "cpu", NONE, OK, "none is used"),
        ("tiny", "cuda", NONE, MISSING, "set device: auto in params.yaml"),
        ("xtts_v2", "auto", CARD, OK, "NVIDIA H100, 85 GB, driver 550.54, CUDA 12.4"),
        ("xtts_v2", "auto", CARD._replace(gigabytes=8.6), WARNING, "docs/gpu.md says what to set for less than 12 GB"),
        ("tiny", "auto", NONE._replace(fault="no driver"), WARNING, "no driver"),
        ("tiny", "cuda", NONE._replace(fault="no driver"), MISSING, "no driver"),
    ],
)
def test_the_card(base, device, cards, state, said, monkeypatch):
    monkeypatch.setattr(machine.platform, "system", lambda: "Linux")
    monkeypatch.setattr(machine, "_on_the_bus", lambda *maker: False)
    found = machine.gpu(Settings(base, device), cards)
    assert found.state == state
    assert said in found.what


def test_graphics_of_amd_are_told_where_they_matter(monkeypatch):
    """Most processors of AMD have some, so they are no reason to warn who trains the tiny base."""
    monkeypatch.setattr(machine.platform, "system", lambda: "Linux")
    monkeypatch.setattr(machine, "_on_the_bus", lambda maker: maker == "0x1002")
    assert machine.gpu(Settings("tiny", "auto"), NONE).state == OK
    for base, device in (("xtts_v2", "auto"), ("tiny", "cuda")):
        found = machine.gpu(Settings(base, device), NONE)
        assert (found.state, "docs/systems.md" in found.what) == (WARNING, True)


def smi(place: Path, monkeypatch, script: str) -> None:
    path = place / "bin/nvidia-smi"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


def test_what_the_driver_says_is_read(tmp_path, monkeypatch):
    answer = 'case "$1" in --query*) echo "NVIDIA A, 470.1, 24576"; echo "NVIDIA B, 470.1, 12288" ;;'
    smi(tmp_path, monkeypatch, f'{answer} *) echo "| Driver Version: 470.1    CUDA Version: 11.4 |" ;; esac')
    assert machine.cards() == (("NVIDIA A", "NVIDIA B"), 12288 * 2**20 / 1e9, "470.1", "11.4", "")


def test_a_driver_that_does_not_answer(tmp_path, monkeypatch):
    smi(tmp_path, monkeypatch, "echo 'NVIDIA-SMI has failed'; exit 9")
    assert machine.cards().fault == "NVIDIA's driver sees no card (`nvidia-smi` says why)"


@pytest.mark.parametrize(
    ("built", "cuda", "said"),
    [
        (None, "12.4", "is built for the CPU; take a build for CUDA"),
        ("13.0", "12.4", "it is built for CUDA 13.0, and the driver 550.54 knows CUDA 12.4; update the driver"),
        ("13.0", "13.1", "it finds no GPU, though the driver sees one (CUDA_VISIBLE_DEVICES is '')"),
    ],
)
def test_torch_that_cannot_use_the_card(monkeypatch, built, cuda, said):
    import torch

    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for device, state in (("auto", WARNING), ("cuda", MISSING)):
        (found,) = project.check_torch(Settings("xtts_v2", device), CARD._replace(cuda=cuda))
        assert found.state == state
        assert said in found.what
    assert project.check_torch(Settings("xtts_v2", "cpu"), CARD) == []
    assert project.check_torch(Settings("xtts_v2", "auto"), NONE) == []


def test_the_licence_is_asked_only_where_the_base_needs_it(folder, monkeypatch):
    assert not [one for one in machine.look(folder) if one.what.startswith("licence")]
    set_base(folder, "xtts_v2")
    found = line(folder, "licence")
    assert found.state == MISSING
    assert found.what.endswith("and if you agree: export COQUI_TOS_AGREED=1")
    monkeypatch.setenv("COQUI_TOS_AGREED", "1")
    assert line(folder, "licence").state == OK


def test_git_without_an_identity(folder):
    assert line(folder, "git").state == OK
    (folder / "gitconfig").write_text("")
    assert line(folder, "git").state == WARNING


def test_settings_are_read_as_yaml_reads_them(folder):
    for path in (ROOT / "params.yaml", ROOT / "presets/xtts_v2.yaml"):
        known = yaml.safe_load(path.read_text(encoding="utf-8"))
        shutil.copyfile(path, folder / "params.yaml")
        assert machine.read_settings(folder) == (known["base"], known["device"])
    (folder / "params.yaml").write_text('base: "my model"   # a folder\ndevice:\n')
    assert machine.read_settings(folder) == ("my model", "auto")
    (folder / "params.yaml").unlink()
    assert machine.read_settings(folder) == ("tiny", "auto")


@pytest.fixture
def whole_project(folder) -> Path:
    (folder / ".dvc").mkdir()
    (folder / "data").mkdir()
    shutil.copyfile(ROOT / "data/decisions.csv", folder / "data/decisions.csv")
    (folder / "data/raw").symlink_to(ROOT / "data/raw")
    (folder / "pretrain").symlink_to(ROOT / "pretrain")
    (folder / ".dvc/config").write_text("")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def said_of(root: Path) -> list[Finding]:
    return project.look(root)


def test_a_project_without_a_fault(whole_project, capsys):
    found = said_of(whole_project)
    assert {one.state for one in found} == {OK}
    assert [one.what.split(":")[0] for one in found] == ["params.yaml", "recordings", "recogniser"]
    assert command.run(whole_project) == 0
    assert capsys.readouterr().out.endswith("nothing is missing\n")


def test_a_fault_of_params_yaml_gives_status_1(whole_project, capsys):
    (whole_project / "params.yaml").write_text("seed: x\n")
    assert command.run(whole_project) == 1
    printed = capsys.readouterr().out
    assert "missing  params.yaml: the key " in printed
    assert printed.endswith("1 missing: see above\n")


def test_a_base_that_is_not_there(whole_project):
    set_base(whole_project, "no/such/model")
    (found,) = (one for one in said_of(whole_project) if one.state == MISSING)
    assert found.what.startswith("base: 'no/such/model' is missing; correct `base` in params.yaml")


def test_recordings_that_are_not_here(whole_project):
    (whole_project / "data/raw").unlink()
    (whole_project / "data/raw").mkdir()
    (whole_project / "data/raw/host.dvc").write_text("outs: []\n")
    told = [one.what for one in said_of(whole_project) if one.state == MISSING]
    assert told == [
        "recordings: data/raw/questions (questions) is not here; correct its path in params.yaml",
        "recordings: data/raw/host (host) is not here; `dvc pull data/raw/host.dvc`",
    ]


def test_recognisers_are_looked_for_and_not_downloaded(whole_project, monkeypatch):
    assert project._PACKAGED == recogniser._PACKAGED
    monkeypatch.setenv("HF_HUB_CACHE", str(whole_project / "hub"))
    text = (whole_project / "params.yaml").read_text()
    for name, state in (("large-v2", WARNING), ("no-such-name", MISSING), (str(whole_project / "data"), MISSING)):
        (whole_project / "params.yaml").write_text(text.replace("asr: tiny.en ", f"asr: {name} "))
        (found,) = (one for one in said_of(whole_project) if one.what.startswith("recogniser"))
        assert found.state == state, found


def test_room_for_the_trainings_is_checked_as_before_a_phase(whole_project, monkeypatch):
    (whole_project / "models/base").mkdir(parents=True)
    with (whole_project / "models/base/model.pth").open("wb") as file:
        file.truncate(1_867_929_118)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 5_000_000_000))
    (found,) = (one for one in said_of(whole_project) if one.state == MISSING)
    assert "train_phase1, and the models after it will need about" in found.what


def test_remotes(whole_project):
    remotes = {"away": "/nowhere/at/all", "near": str(whole_project), "cloud": "s3://bucket/voices"}
    text = "".join(f"['remote \"{name}\"']\n    url = {url}\n" for name, url in remotes.items())
    (whole_project / ".dvc/config").write_text(text)
    found = {one.what.split("'")[1]: one for one in said_of(whole_project) if one.what.startswith("remote")}
    assert found["away"].state == WARNING
    assert found["near"].state == OK
    there = project.importlib.util.find_spec("dvc_s3") is not None
    assert (found["cloud"].state == OK) is there
    assert there or "pip install -c requirements.lock dvc-s3" in found["cloud"].what
