"""The pipeline with DVC's real commands, in a clone in a temporary folder, on a few clips."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLLOWS_PHASE_2 = {"train_phase2", "evaluate@phase2", "compare", "synthesize", "report"}
GIVEN = "metrics/listening.json"  # which no stage writes
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRONMENT = {**os.environ, "PATH": PATH, "GIT_CONFIG_GLOBAL": os.devnull, "PYTHONPATH": ""}


def run(folder: Path, *command: str, ok: bool = True) -> str:
    """Run a command in a folder; what it printed."""
    result = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=900)
    assert (result.returncode == 0) is ok, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@t.invalid", "commit", "-qm", message)


def small_params(language: str = "en", script: str = "data/scripts/questions.txt", voice: str = "en-us+m1") -> str:
    """The default parameters, made small: 20 lines, two steps a phase, two spoken sentences."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    source = {"name": "few", "reader": "espeak", "path": script, "speaker": "someone", "language": language}
    settings["prepare"]["sources"] = [{**source, "voice": voice, "rate": 200}]
    settings["prepare"]["held_out"] = 0.2
    for phase in ("train_phase1", "train_phase2"):
        settings[phase] |= {"epochs": 1, "max_steps": 2, "batch_size": 4, "eval_every": 1, "log_every": 1}
    settings["evaluate"] |= {"sentences": 2, "takes": 1, "bootstrap": 200, "measures": ["intelligibility"]}
    settings["synthesize"]["lines"] = ["Welcome back."]
    return yaml.safe_dump(settings, sort_keys=False)


def clone(folder: Path, parameters: str) -> Path:
    """A repository with the working tree's files, other parameters, few lines and no results."""
    listed = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in listed:
        made = name.startswith(("metrics/", "tests/", "dvc.lock")) and name != GIVEN
        if (ROOT / name).is_file() and not made:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(parameters, encoding="utf-8")
    for script in (folder / "data/scripts").glob("*.txt"):
        lines = script.read_text(encoding="utf-8").splitlines()
        script.write_text("\n".join(lines[:20]) + "\n", encoding="utf-8")
    run(folder, "git", "init", "-q", "-b", "main")
    commit(folder, "clone")
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = clone(tmp_path_factory.mktemp("pipeline"), small_params())
    output = run(folder, "dvc", "repro")
    assert stages_run(output) == {
        *("prepare", "base", "encode", "train_phase1", "train_phase2", "ceiling", "compare", "synthesize", "report"),
        *("evaluate@base", "evaluate@phase1", "evaluate@phase2"),
    }
    commit(folder, "results")
    return folder


def test_a_second_repro_does_nothing(repository):
    output = run(repository, "dvc", "repro")
    assert stages_run(output) == set()
    assert run(repository, "git", "status", "--porcelain") == ""


def test_all_results_are_there_and_agree(repository):
    voice = json.loads((repository / "metrics/voice.json").read_text())
    phase2 = json.loads((repository / "metrics/evaluate/phase2.json").read_text())
    facts = json.loads((repository / "models/phase2/voicetune.json").read_text())["facts"]
    assert voice["model"] == "phase2"
    assert voice["mel_ce"] == phase2["mel_ce"]
    assert facts["mel_ce"] == pytest.approx(phase2["mel_ce"], abs=1e-4)  # the loop and the stage measure alike
    manifest = json.loads((repository / "data/samples/manifest.json").read_text())
    assert [row["text"] for row in manifest] == ["Welcome back."]
    assert (repository / "data/samples" / manifest[0]["file"]).stat().st_size > 44
    page = (repository / "metrics/report/index.html").read_text()
    assert f"{phase2['mel_ce']:.3f}" in page
    assert page.count("<audio") == 2 * 5
    shown = run(repository, "dvc", "metrics", "show")
    assert "metrics/evaluate/base.json" in shown.replace("\\", "/")
    assert not (repository / "state").exists() or not any((repository / "state").glob("*/step-*"))


def test_one_more_transcript_names_prepare(repository):
    script = repository / "data/scripts/questions.txt"
    before = script.read_text()
    script.write_text(before + "q999|One more question, for one hundred points?\n")
    try:
        assert "prepare" in run(repository, "dvc", "status")
    finally:
        script.write_text(before)


def test_an_experiment_with_another_rate_runs_phase_2_and_what_follows(repository):
    output = run(repository, "dvc", "exp", "run", "-n", "rate", "-S", "lr=2e-5")
    assert stages_run(output) == FOLLOWS_PHASE_2
    history = (repository / "metrics/train_phase2/plots/metrics/lr.tsv").read_text().splitlines()
    assert float(history[-1].split("\t")[-1]) <= 2e-5
    lock = yaml.safe_load((repository / "dvc.lock").read_text())
    assert float(lock["stages"]["train_phase2"]["params"]["params.yaml"]["lr"]) == 2e-5


def test_metrics_diff_between_the_phases_trains_nothing(repository):
    for phase in ("phase1", "phase2"):
        output = run(repository, "dvc", "exp", "run", "-n", f"of-{phase}", "-S", f"publish={phase}")
        assert stages_run(output) <= {"compare", "synthesize", "report"}
    diff = run(repository, "dvc", "metrics", "diff", "of-phase1", "of-phase2", "--json")
    assert "mel_ce" in json.loads(diff)["metrics/voice.json"]


@pytest.mark.slow
def test_an_experiment_in_a_temporary_folder(repository):
    before = (repository / "params.yaml").read_text()
    output = run(repository, "dvc", "exp", "run", "--temp", "-n", "beside", "-S", "lr=3e-5")
    assert stages_run(output) == FOLLOWS_PHASE_2
    assert (repository / "params.yaml").read_text() == before
    shown = json.loads(run(repository, "dvc", "params", "diff", "main", "beside", "--json"))
    assert shown["params.yaml"]["lr"]["new"] == 3e-5


@pytest.mark.slow
@pytest.mark.parametrize("way", [[], ["--temp"], ["--queue"]], ids=["workspace", "temp", "queue"])
def test_an_experiment_that_is_killed_goes_on_where_it_was(repository, way):
    """Whatever folder DVC runs it in; and nobody else's state is taken."""
    changes = ["-S", f"lr={3e-5 + 1e-6 * len(' '.join(way))}", "-S", "train_phase2.max_steps=150", "-S"]
    changes += ["train_phase2.patience=null", "-S"]  # no early end
    command = ["dvc", "exp", "run", *way, *changes, "train_phase2.epochs=150", "train_phase2"]

    def begin() -> subprocess.Popen:
        process = subprocess.Popen(
            command, cwd=repository, env=ENVIRONMENT, start_new_session=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if way == ["--queue"]:
            process.wait(120)
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # the worker would hold a pipe open
            subprocess.run(["dvc", "queue", "start"], cwd=repository, env=ENVIRONMENT, timeout=60, check=True, **quiet)
        return process

    def reached(step: int) -> int | None:
        found = [int(path.stem[5:]) for path in repository.glob("state/train_phase2-*/step-*.json")]
        return max(found) if found and max(found) >= step else None

    process = begin()
    wait_for(lambda: reached(5))
    if way == ["--queue"]:
        (task,) = re.findall(r"^([0-9a-f]{7}).*Running", run(repository, "dvc", "queue", "status"), re.MULTILINE)
        run(repository, "dvc", "queue", "kill", "--force", task)
    else:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for one in psutil.process_iter(["cmdline", "cwd"]):
        if "src/train.py" in (one.info["cmdline"] or []) and (one.info["cwd"] or "").startswith(str(repository)):
            one.kill()
    at = reached(5)
    assert at is not None
    again = begin()
    if way == ["--queue"]:
        wait_for(lambda: "Success" in run(repository, "dvc", "queue", "status"))
        (task,) = re.findall(r"^([0-9a-f]{7}).*Success", run(repository, "dvc", "queue", "status"), re.MULTILINE)
        output = run(repository, "dvc", "queue", "logs", task)
    else:
        output, _ = again.communicate(timeout=300)
        assert again.returncode == 0, output
    steps = re.findall(r"going on from step (\d+) of 150", output)
    assert [int(step) >= 5 for step in steps] == [True], output


def wait_for(condition, seconds: int = 240) -> None:
    for _ in range(seconds * 5):
        if condition():
            return
        time.sleep(0.2)
    raise AssertionError(f"nothing happened for {seconds} s")


@pytest.mark.slow
def test_the_best_model_from_a_remote_speaks_in_another_clone(repository, tmp_path):
    store, other = tmp_path / "store", tmp_path / "other"
    run(repository, "git", "stash", "-u", "-q", ok=True)
    run(repository, "dvc", "checkout", "-q", "--force")
    run(repository, "dvc", "remote", "add", "-f", "-d", "store", str(store))
    commit(repository, "a remote")
    run(repository, "dvc", "push", "-q")
    run(tmp_path, "git", "clone", "-q", str(repository), str(other))
    run(other, "dvc", "pull", "-q", "models/phase2")
    assert not (other / "data/clips").exists()
    said = tmp_path / "said.wav"
    env = {**ENVIRONMENT, "PYTHONPATH": str(other / "src")}
    command = [sys.executable, "-m", "voicetune", "say", "Welcome back.", "--out", str(said)]
    assert subprocess.run(command, cwd=other, env=env, timeout=300).returncode == 0
    assert said.stat().st_size > 1000
    fetched = tmp_path / "fetched"
    run(repository, "gto", "register", "voice", "--version", "v0.1.0")
    run(tmp_path, "dvc", "artifacts", "get", str(repository), "voice", "--rev", "v0.1.0", "-o", str(fetched))
    assert (fetched / "best_model.pth").read_bytes() == (other / "models/phase2/best_model.pth").read_bytes()


@pytest.mark.slow
def test_plots_are_drawn(repository, tmp_path):
    run(repository, "dvc", "plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots/index.html").read_text()
    assert "held-out mel CE" in page
    assert "train_phase1" in page
    assert "train_phase2" in page


@pytest.mark.slow
def test_a_hungarian_source_goes_through_the_whole_pipeline(tmp_path):
    settings = yaml.safe_load(small_params("hu", "data/scripts/kerdesek.txt", "hu"))
    settings["evaluate"]["sentences"] = 0  # the recogniser in the package knows English alone
    settings["synthesize"] |= {"language": "hu", "lines": ["Jó estét kívánok."]}
    folder = clone(tmp_path, yaml.safe_dump(settings, sort_keys=False))
    run(folder, "dvc", "repro")
    assert json.loads((folder / "metrics/prepare.json").read_text())["clips"] == 20
    assert "hu" in json.loads((folder / "data/samples/manifest.json").read_text())[0]["language"]


@pytest.mark.parametrize("preset", ["tiny.yaml", "xtts_v2.yaml"])
def test_every_preset_is_a_pipeline_that_dvc_resolves(tmp_path, preset):
    folder = clone(tmp_path, (ROOT / "presets" / preset).read_text(encoding="utf-8"))
    assert stages_run(run(folder, "dvc", "repro", "--dry", "prepare", "base")) == {"prepare", "base"}
    names = run(folder, "dvc", "stage", "list", "--name-only").split()
    assert {"encode", "train_phase1", "train_phase2", "evaluate@phase2", "synthesize"} <= set(names)
