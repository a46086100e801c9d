"""Disk usage, and cleaning. Cleaning removes no file of git, no file of the user, and nothing outside the project."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from test_pipeline import ROOT, commit, copy_settings, run

from voicetune import space
from voicetune.errors import UserError
from voicetune.training import state_folders

MADE = {
    "data/clips/a.flac", "data/clips/clips.csv", "data/codes/codes.safetensors", "data/spoken/base/0.flac",
    "data/samples/1.wav", "models/base/model.pth", "models/phase2/deep/er/best_model.pth", "metrics/report/index.html",
    "dvc_plots/index.html",
}  # fmt: skip
YOURS = {
    "data/raw/mine/metadata.csv", "data/raw/mine/wavs/1.wav", "data/raw/loose.zip", "data/listening/anna.json",
    "data/scripts/show.txt", "state/train_phase1-0123456789abcdef/step-1.pt",
    "state/train_phase1-0123456789abcdef/step-1.json",
    "metrics/run/prepare.json", "metrics/notes.md", "models.txt", "listening/index.html", "pretrain/work/clip.flac",
    ".venv/bin/python", ".dvc/cache/files/md5/ab/cd",
}  # fmt: skip
TRACKED = {"metrics/voice.json", "metrics/evaluate/base.json", "models/phase1/tracked.txt", "data/raw/README.md"}


def everything(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return {str(path.relative_to(folder)) for path in found if ".git" not in path.relative_to(folder).parts}


@pytest.fixture
def project(tmp_path):
    """A project folder after a run, with files of its user. Each file has 1000 bytes."""
    folder = tmp_path / "project"
    copy_settings(folder)
    (folder / "dvc.yaml").write_text("stages: {}\n")
    for name in MADE | YOURS | TRACKED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(1000))
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "git", "add", "-f", *TRACKED)
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@t.invalid", "commit", "-qm", "tracked")
    return folder


@pytest.fixture
def outside(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/precious.pth").write_bytes(bytes(1000))
    return tmp_path / "outside"


def test_clean_removes_only_made_files(project):
    before = everything(project)
    assert {str(path.relative_to(project)) for path in space.made(project)} == MADE
    assert space.remove_made(project) == (len(MADE), 1000 * len(MADE))
    assert everything(project) == before - MADE
    assert not (project / "data/clips").exists()
    assert (project / "models/phase1").is_dir()
    assert space.remove_made(project) == (0, 0)


def test_tracked_files_stay_even_in_a_made_folder(project):
    for name in MADE:
        run(project, "git", "add", "-f", name)
    assert space.remove_made(project) == (0, 0)
    assert everything(project) >= MADE


def test_a_link_out_of_the_folder_is_not_followed(project, outside):
    (project / "models/phase2/linked").symlink_to(outside)
    (project / "models/phase2/linked.pth").symlink_to(outside / "precious.pth")
    assert space.remove_made(project)[0] == len(MADE) + 2
    assert not (project / "models/phase2").exists()
    assert (outside / "precious.pth").stat().st_size == 1000


@pytest.mark.parametrize("linked", ["models", "data"])
def test_a_made_folder_that_is_a_link_is_not_cleaned(project, outside, linked):
    (project / linked).rename(outside / linked)
    (project / linked).symlink_to(outside / linked)
    before = everything(outside)
    space.remove_made(project)
    assert everything(outside) == before
    assert (project / linked).is_symlink()


def test_another_repository_in_a_made_folder_stays(project):
    run(project, "git", "init", "-q", "models/theirs")
    (project / "models/theirs/model.pth").write_bytes(b"theirs")
    space.remove_made(project)
    assert (project / "models/theirs/model.pth").read_bytes() == b"theirs"


def test_every_out_of_every_stage_is_cleaned_or_in_git():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    outs = [next(iter(out)) if isinstance(out, dict) else out for one in stages for out in one.get("outs", [])]
    assert outs
    cleaned = [out for out in outs if any(Path(out).is_relative_to(place) for place in space.MADE)]
    assert [out for out in outs if out not in cleaned or out.startswith(space.KEPT)] == []


def test_outside_a_repository_cleaning_is_one_sentence(tmp_path, project):
    with pytest.raises(UserError, match="run this in the repository's folder"):
        space.made(tmp_path)
    shutil.rmtree(project / ".git")
    with pytest.raises(UserError, match=r"git does not say what it tracks .*by hand"):
        space.made(project)
    assert everything(project) >= MADE


def test_the_table_counts_every_file_once(project, outside):
    (project / "models/phase2/linked").symlink_to(outside)
    os.link(project / ".dvc/cache/files/md5/ab/cd", project / "models/base/config.json")  # as DVC may link a file
    rows = {row.name: row for row in space.measure(project)}
    link = (project / "models/phase2/linked").lstat().st_size
    sizes = {name: row.bytes for name, row in rows.items()}
    rest = sizes.pop("code, git and the rest")
    sizes.pop("downloaded XTTS v2", None)
    assert sizes == {
        "DVC's cache": 1000, "virtual environment": 1000, "recordings": 4000, "clips and codes": 3000, "spoken": 2000,
        "models": 3000 + link, "figures and report": 6000, "states of unfinished trainings": 2000,
        "making of the tiny base": 1000,
    }  # fmt: skip
    files = [path for path in project.rglob("*") if path.is_symlink() or path.is_file()]
    assert rest + sum(sizes.values()) == sum(path.lstat().st_size for path in files) - 1000  # the hard link counts once
    assert rows["models"].clean == "make clean"
    assert space.table(list(rows.values())).row_count == len(rows) + 1


def test_states_are_removed_only_after_a_yes(project, monkeypatch):
    with pytest.raises(UserError, match="there is no terminal to ask in"):
        space.remove_states(project, yes=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "")
    with pytest.raises(UserError, match="nothing is removed"):
        space.remove_states(project, yes=False)
    folder = project / "state/train_phase1-0123456789abcdef"
    with state_folders.locked(folder), pytest.raises(UserError, match="in use by a training"):
        space.remove_states(project, yes=True)
    before = everything(project)
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert space.remove_states(project, yes=False) == 1
    assert before - everything(project) == {f"state/train_phase1-0123456789abcdef/{name}" for name in
                                            ("step-1.pt", "step-1.json", "lock", "process")}  # fmt: skip
    assert space.remove_states(project, yes=False) == 0


def test_a_state_that_is_a_link_stays(project, outside):
    (project / "state/train_phase2-456789abcdef0123").symlink_to(outside)
    assert space.remove_states(project, yes=True) == 1
    assert (outside / "precious.pth").exists()
    assert [path.name for path in (project / "state").iterdir()] == ["train_phase2-456789abcdef0123"]


def test_cleaning_the_cache_keeps_the_data_of_the_workspace(project):
    recording = project / "data/raw/loose.zip"
    for content in (b"old", b"new"):
        recording.write_bytes(content)
        run(project, "dvc", "add", "-q", "data/raw/loose.zip")
        commit(project, "a recording")
    with pytest.raises(UserError, match="there is no terminal to ask in"):
        space.collect_garbage(project, yes=False)
    cache = project / ".dvc/cache/files"
    assert {path.read_bytes() for path in cache.rglob("*") if path.is_file()} >= {b"old", b"new"}
    space.collect_garbage(project, yes=True)
    assert {path.read_bytes() for path in cache.rglob("*") if path.is_file()} == {b"new"}


def test_a_shared_cache_is_not_cleaned(project, tmp_path_factory):
    shared = tmp_path_factory.mktemp("shared")
    run(project, "dvc", "cache", "dir", "--local", str(shared))
    (project / "data/raw/loose.zip").write_bytes(b"new")
    run(project, "dvc", "add", "-q", "data/raw/loose.zip")
    before = sorted(shared.rglob("*"))
    with pytest.raises(UserError, match="--projects"):
        space.collect_garbage(project, yes=True)
    assert sorted(shared.rglob("*")) == before
    assert before


def test_make_adds_yes_only_with_yes_1():
    """`make -n` shows the commands of a target. Only YES=1 adds --yes."""

    def shown(*given: str) -> str:
        return subprocess.run(["make", "-n", *given], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for kind in ("states", "cache"):
        assert "--yes" not in shown(f"clean-{kind}")
        assert "--yes" not in shown(f"clean-{kind}", "YES=0")
        assert f"space --clean {kind} --yes" in shown(f"clean-{kind}", "YES=1")
    assert "space --clean made\n" in shown("clean")
