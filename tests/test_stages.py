"""Which stages DVC considers changed after an edit. It compares a clone's files with dvc.lock and runs no stage."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from test_pipeline import ROOT, clone, commit, edited, run, stages_run

MODELS = ("base", "phase1", "phase2")
SPEAKING, HEARING = ({f"{stage}@{model}" for model in MODELS} for stage in ("speak", "evaluate"))
TRAINING = {"train_phase1", "train_phase2"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A fresh clone of the working tree: with dvc.lock and metrics, without clips and models."""
    folder = clone(tmp_path_factory.mktemp("stages"), (ROOT / "params.yaml").read_text(encoding="utf-8"), lines=None)
    for name in run(ROOT, "git", "ls-files", "dvc.lock", "metrics").split():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    commit(folder, "results")
    return folder


def touched(folder: Path) -> dict[str, set[str]]:
    """The changed dependencies and parameters of each stage, from `dvc status`."""
    found = json.loads(run(folder, "dvc", "status", "--json"))
    return {stage: set().union(*map(_changed, entries)) for stage, entries in found.items()}


def _changed(entry: object) -> set[str]:
    """DVC reports a parameter as {"params.yaml": {"lr": "modified"}}. Files that a fresh clone lacks are reported as
    deleted. That is no change."""
    deps = entry.get("changed deps", {}) if isinstance(entry, dict) else {}
    keys = {key for how in deps.values() if isinstance(how, dict) for key in how}
    return keys | {name for name, how in deps.items() if how == "modified"}


def seen(folder: Path, name: str, old: str | bytes, new: str | bytes) -> set[str]:
    """The stages that one edit of a dependency changes."""
    with edited(folder / name, old, new):
        return {stage for stage, names in touched(folder).items() if name in names}


@pytest.mark.slow
def test_dvc_reruns_exactly_the_stages_whose_code_changed(repository):
    """DVC once missed some of these changes, and ran too many stages for the others."""
    code = "src/voicetune"
    ten_times = ('return {**section, "lr": data["lr"]}', 'return {**section, "lr": 10 * data["lr"]}')
    assert seen(repository, f"{code}/params/training.py", *ten_times) >= TRAINING
    fewer = ("i for i, c in enumerate(self.clips)", "i for i, c in list(enumerate(self.clips))[:50]")
    assert seen(repository, f"{code}/data/codes.py", *fewer) >= TRAINING
    interval = ("_NORMAL = 1.959963984540054", "_NORMAL = 2.0")
    assert seen(repository, f"{code}/measures/intervals.py", *interval) == {"compare", "report"}
    found = seen(repository, f"{code}/measures/prosody.py", "_VOICED = 0.1", "_VOICED = 0.2")
    assert not found & (TRAINING | SPEAKING)
    assert {"choose", "ceiling", *HEARING} <= found, "choosing by CER uses it too"
    found = seen(repository, f"{code}/xtts/decode.py", "_PLACEHOLDER = 1", "_PLACEHOLDER = 2")
    assert not found & TRAINING
    assert found >= SPEAKING


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bundle.json", "dvae.safetensors", "gpt.safetensors", "vocab.json"])
def test_a_changed_byte_of_the_bundle_changes_stage_base(repository, name):
    path = f"pretrain/bundle/{name}"
    assert seen(repository, path, (repository / path).read_bytes()[-8:], bytes(8)) == {"base"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("seed: 1", "# a comment\nseed: 1", set()),
        ("jobs: 0", "jobs: 1", set()),
        ("engine: local", "engine: ray", set()),
        ("max_restarts: 3", "max_restarts: 2", set()),
        ("bootstrap: 2000", "bootstrap: 2001", {"compare", "report"}),
        ("\nlr: ", "\nlr: 1", {"train_phase2", "report"}),
        ("temperature: 0.3", "temperature: 0.6", {"choose", "publish", *SPEAKING, "report"}),
        ("  - prosody", "  # - prosody", {"ceiling", *HEARING, "report"}),
        ("batch_size: 12", "batch_size: 11", {"train_phase1", "report"}),
    ],
)
def test_a_changed_parameter_changes_only_the_stages_that_use_it(repository, old, new, stages):
    """The report shows all parameters, so each changes it. test_pipeline.py also runs the stages that follow."""
    with edited(repository / "params.yaml", old, new):
        after = touched(repository)
    assert {stage for stage, names in after.items() if any(not name.startswith("src/") for name in names)} == stages


def test_dvc_hashes_no_dependency_as_an_empty_folder(repository):
    """If DVC takes a folder for part of another repository, it hashes it as empty and never sees a change in it."""
    lock = yaml.safe_load((repository / "dvc.lock").read_text())
    empty = {dep["path"] for stage in lock["stages"].values() for dep in stage["deps"] if dep.get("nfiles") == 0}
    assert empty <= {"data/raw"}


def test_dvc_metrics_shows_only_the_main_figures(repository):
    shown = json.loads(run(repository, "dvc", "metrics", "show", "--json"))[""]["data"]
    figures = {path.replace("\\", "/"): entry["data"] for path, entry in shown.items()}
    assert set(figures) == {"metrics/voice.json", *(f"metrics/evaluate/{m}.json" for m in ("base", "phase1", "phase2"))}
    assert len(figures["metrics/voice.json"]) <= 12
    assert all(len(values) <= 8 for path, values in figures.items() if path != "metrics/voice.json")
    columns = run(repository, "dvc", "exp", "show", "--csv").splitlines()[0].split(",")
    metrics = [name for name in columns if ".json:" in name or name in figures["metrics/voice.json"]]
    assert {f"metrics/voice.json:{name}" for name in ("mel_ce", "cer", "secs", "mos")} | {"steps"} <= set(metrics)
    assert len(metrics) <= 40


def test_one_more_transcript_changes_stage_prepare(repository):
    with edited(repository / "data/scripts/questions.txt", b"", b"q999|One more question, for one hundred points?\n"):
        assert {stage for stage, names in touched(repository).items() if "data/scripts" in names} == {"prepare"}


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["params.yaml", "presets/xtts_v2.yaml"])
def test_dvc_resolves_the_pipeline_with_every_preset(tmp_path, preset):
    folder = clone(tmp_path, (ROOT / preset).read_text(encoding="utf-8"))
    assert stages_run(run(folder, "dvc", "repro", "--dry", "transcribe", "base")) == {"transcribe", "base"}
    names = run(folder, "dvc", "stage", "list", "--name-only").split()
    assert {"prepare", "encode", "train_phase1", "train_phase2", "evaluate@phase2", "synthesize"} <= set(names)
