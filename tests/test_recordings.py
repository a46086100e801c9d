"""A user's recordings, added as documented, with DVC's real commands: remote, clone, experiment, cleaning."""

import shutil
from pathlib import Path

import pytest
import soundfile
import yaml
from scmrepo.git import Git
from test_pipeline import ROOT, clone, commit, run, small_params

from voicetune.data import espeak

TEXTS = ("Good evening.", "Take your time.", "The answer is seven.", "Well done.", "Which river is it?", "Thank you.")
MINE = "data/raw/mine"


def contents(folder: Path) -> dict[str, bytes]:
    """The path inside the folder and the bytes of every file."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def record(folder: Path) -> dict[str, bytes]:
    """Write a source in LJSpeech's layout, spoken by espeak-ng, and return its contents."""
    (folder / "wavs").mkdir(parents=True)
    for number, text in enumerate(TEXTS):
        soundfile.write(folder / f"wavs/m-{number}.wav", espeak.speak(text, "en-us+f3"), espeak.SAMPLE_RATE)
    (folder / "metadata.csv").write_text("".join(f"m-{i}|{text}\n" for i, text in enumerate(TEXTS)), encoding="utf-8")
    return contents(folder)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A repository with recordings in data/raw/mine, added and committed as documented, and their contents."""
    settings = yaml.safe_load(small_params())
    source = {"name": "mine", "reader": "ljspeech", "path": MINE, "speaker": "anna", "language": "en"}
    settings["prepare"]["sources"] = [source]
    settings["jobs"] = 1
    folder = clone(tmp_path_factory.mktemp("own"), yaml.safe_dump(settings, sort_keys=False))
    recordings = record(folder / MINE)
    (folder / "data/raw/session.zip").write_bytes(bytes(1000))
    (folder / "data/raw/take.wav").write_bytes(bytes(1000))
    assert run(folder, "git", "status", "--porcelain", "-uall") == "", "git ignores the recordings"
    run(folder, "dvc", "add", "-q", MINE)
    assert run(folder, "git", "status", "--porcelain", "-uall").split() == ["??", f"{MINE}.dvc"]
    commit(folder, "recordings")
    return folder, recordings


@pytest.fixture(scope="module")
def pulled(own, tmp_path_factory):
    """Another clone after `dvc pull`, from a remote to which the first clone pushed."""
    folder, _ = own
    place = tmp_path_factory.mktemp("other")
    run(folder, "dvc", "remote", "add", "-q", "-d", "store", str(place / "store"))
    commit(folder, "a remote")
    run(folder, "dvc", "push", "-q")
    run(place, "git", "clone", "-q", str(folder), "clone")
    run(place / "clone", "dvc", "pull", "-q", MINE)
    return place / "clone"


def test_dvc_does_not_consider_a_tracked_folder_ignored():
    """DVC uses its own git library, which reads patterns such as `folder/*` otherwise than git does."""
    tracked = [Path(name) for name in run(ROOT, "git", "ls-files").splitlines()]
    folders = {folder for path in tracked for folder in path.parents} - {Path(".")}
    git = Git(str(ROOT))
    assert [str(folder) for folder in sorted(folders) if git.is_ignored(f"{ROOT / folder}/")] == []
    assert [str(path) for path in tracked if git.is_ignored(str(ROOT / path))] == []


def test_dvc_tracks_the_recordings(own):
    folder, _ = own
    assert f"{MINE}.dvc" in run(folder, "dvc", "dag", "--dot", "prepare")
    assert MINE in run(folder, "dvc", "data", "status", "--json", "--unchanged")
    # a folder inside a folder is refused with a sentence
    shutil.copytree(folder / MINE, folder / "data/raw/studio/mine")
    assert "git-ignored" in run(folder, "dvc", "add", "data/raw/studio/mine", ok=False)
    shutil.rmtree(folder / "data/raw/studio")


def test_push_and_pull_transfer_the_recordings(own, pulled):
    _, recordings = own
    assert contents(pulled / MINE) == recordings
    assert not (pulled / "data/raw/session.zip").exists()


@pytest.mark.slow
def test_an_experiment_in_a_temporary_folder_has_the_recordings(own, pulled):
    for folder in (own[0], pulled):
        run(folder, "dvc", "exp", "run", "--temp", "-n", "beside", "prepare")
        (kept,) = run(folder, "git", "for-each-ref", "--format=%(refname)", "refs/exps/**/beside").split()
        outs = yaml.safe_load(run(folder, "git", "show", f"{kept}:dvc.lock"))["stages"]["prepare"]["outs"]
        assert {out["path"]: out.get("nfiles") for out in outs}["data/clips"] == len(TEXTS) + 2, "clips and two tables"


@pytest.mark.slow
def test_prepare_does_not_depend_on_the_readme_beside_the_recordings(own):
    folder, _ = own
    page = folder / "data/raw/README.md"
    run(folder, "dvc", "repro", "-q", "prepare")
    before = page.read_text(encoding="utf-8")
    page.write_text(before + "One more line.\n", encoding="utf-8")
    assert "changed" not in run(folder, "dvc", "status", "prepare")
    page.write_text(before, encoding="utf-8")
    metadata = folder / MINE / "metadata.csv"
    texts = metadata.read_bytes()
    metadata.write_bytes(texts.replace(b"seven", b"eight"))
    assert "data/raw" in run(folder, "dvc", "status", "prepare")
    metadata.write_bytes(texts)


def test_cleaning_the_cache_keeps_the_recordings(own):
    folder, recordings = own
    run(folder, "dvc", "gc", "-w", "-f")
    shutil.rmtree(folder / MINE)
    run(folder, "dvc", "checkout", "-q", f"{MINE}.dvc")
    assert contents(folder / MINE) == recordings
