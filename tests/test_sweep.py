"""`voicetune sweep`: what is tried, what is written down, how it is stopped, and that each trial is an experiment."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml
from test_pipeline import ENVIRONMENT, clone, commit, run, small_params
from test_pipeline import this_code as this_code

from voicetune import __main__ as command_line
from voicetune.commands.sweep import SWEPT
from voicetune.errors import UserError
from voicetune.sweep import command, guard, running, searching, trials, values
from voicetune.sweep.trials import Trial
from voicetune.sweep.values import Choices, Range
from voicetune.training import state_folders

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.usefixtures("this_code")
needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="optuna is not installed")


def test_lists_and_ranges():
    assert values.parse(["lr=1e-4,2e-4", "seed=1..5", "train_phase1.lr=log:1e-5..1e-3"], ROOT / "params.yaml") == [
        Choices("lr", ("1e-4", "2e-4")),
        Range("seed", 1, 5, log=False, whole=True),
        Range("train_phase1.lr", 1e-5, 1e-3, log=True, whole=False),
    ]


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["lr"], "'lr' is no parameter with values"),
        (["lr="], "'lr=' is no parameter with values"),
        (["--lr=1"], "'--lr=1' is no parameter with values"),
        (["lr=1e-4;x"], "'lr=1e-4;x' has a value that is no plain number or word"),
        (["lr=1e-4,"], "'lr=1e-4,' has a value that is no plain number or word"),
        (["lr=1e-4,1e-4"], "'lr=1e-4,1e-4' has a value twice"),
        (["lr=1e-4,1e-04"], "'lr=1e-4,1e-04' has a value twice"),
        (["seed=0x10"], "'seed=0x10' has a value that is no plain number or word"),
        (["seed=010"], "'seed=010' has a value that is no plain number or word"),
        (["seed=1_000"], "'seed=1_000' has a value that is no plain number or word"),
        (["lr=1e-4", "lr=2e-4"], "lr is given twice"),
        (["lr=2e-4..1e-4"], "'2e-4..1e-4' is no range: the first number has to be the lower one"),
        (["lr=log:0..1e-4"], "'log:0..1e-4' is no range"),
        (["lr=1e..2"], "'1e..2' is no range of numbers"),
        (["nope=1"], "has no value 'nope'"),
        (["train_phase1=1"], "has no value 'train_phase1'"),
        (["train_phase1.nope.lr=1"], "has no value 'train_phase1.nope.lr'"),
        (["lr=2"], "with lr=2: 'lr' is 2, but should be"),
        (["lr=1e-5..2"], "with lr=2: 'lr' is 2"),
        (["train_phase1.batch_size=7.5..32"], "with train_phase1.batch_size=7.5: "),
        (["train_phase1.optimizer=sgd"], "with train_phase1.optimizer=sgd"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_anything_runs(texts, told):
    with pytest.raises(UserError) as caught:
        values.parse(texts, ROOT / "params.yaml")
    assert told in str(caught.value)


def test_a_grid_is_every_combination():
    spaces = [Choices("a", ("1", "2")), Choices("b", ("x", "y", "z"))]
    found = values.grid(spaces)
    assert len(found) == 6
    assert found[:2] == [{"a": "1", "b": "x"}, {"a": "1", "b": "y"}]
    with pytest.raises(UserError, match=r"^these lists make 1,000,000 trainings"):
        values.grid([Choices(name, tuple(map(str, range(100)))) for name in "abc"])


def trial(number: int, curve: list[tuple[int, float]], ended="done", **chosen: str) -> Trial:
    return Trial(number, chosen or {"lr": "1e-4"}, ended, curve, 1.0)


def test_what_ended_is_read_again_and_a_cut_off_line_is_not(tmp_path):
    done, pruned = trial(1, [(0, 5.0), (4, 4.0)]), trial(3, [(0, 5.0)], "pruned")
    for one in (done, trial(2, [], "failed"), pruned):
        trials.add(tmp_path, one)
    with (tmp_path / trials.JOURNAL).open("a") as file:
        file.write('{"number": 4, "val')
    assert trials.read(tmp_path) == [done, pruned]
    after = trial(4, [(0, 5.0)])
    trials.add(tmp_path, after)
    assert trials.read(tmp_path) == [done, pruned, after]
    assert (done.best, trial(5, []).best) == (4.0, None)


def test_a_sweep_goes_on_only_with_what_it_was_begun_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "-q")
    plan = {"values": ["lr=1e-4"], "seed": 1, "commit": "0" * 40}
    trials.begin(tmp_path / "rates", plan)
    trials.begin(tmp_path / "rates", plan)
    told = r"^the sweep 'rates' was begun with seed 1, and not with 2; go on with that, choose another name, or remove"
    with pytest.raises(UserError, match=told):
        trials.begin(tmp_path / "rates", plan | {"seed": 2})
    for damaged in ("[", "[" * 100_000):
        (tmp_path / "rates/plan.json").write_text(damaged)
        with pytest.raises(UserError, match="is damaged"):
            trials.begin(tmp_path / "rates", plan)


@pytest.fixture
def rates(tmp_path, monkeypatch) -> command.Sweep:
    """A sweep in a folder of its own, whose trials end at once."""
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "-q")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.setattr(trials, "head", lambda: "0" * 40)
    monkeypatch.setattr(running, "run", lambda order: trial(order.number, [(0, 5.0), (4, 4.0)], **order.values))
    return command.Sweep("rates", [Choices("lr", ("1e-4", "2e-4"))], None, 1, "train_phase1", False, 1, 1)


def test_trials_that_were_not_planned_do_not_count(rates, capsys):
    rates.folder.mkdir(parents=True)
    strange = [Trial(1, {}, "done", [(0, 1.0)], 1.0), trial(2, [(0, 1.0)], lr="5"), trial(7, [(0, 1.0)])]
    for one in strange:
        trials.add(rates.folder, one)
    command.run(rates)
    assert "best: rates-001, mel CE 4.0000" in capsys.readouterr().out


def test_a_search_cannot_have_fewer_trials_than_it_has(rates, monkeypatch):
    monkeypatch.setattr(searching, "optuna", lambda: None)
    rates.folder.mkdir(parents=True)
    for number in (1, 2, 3):
        trials.add(rates.folder, trial(number, [(0, 1.0)], lr="1e-4"))
    with pytest.raises(UserError, match=r"^sweep rates has trial 3 already, and --trials is 2; give 3 or more, or "):
        command.run(replace(rates, count=2))


def test_two_sweeps_of_one_name_do_not_run_at_once(rates):
    with state_folders.locked(rates.folder), pytest.raises(UserError, match=r"another training .* uses sweeps/rates"):
        command.run(rates)


@pytest.mark.parametrize("name", trials.FILES)
def test_a_sweep_writes_through_no_link(rates, name, tmp_path):
    rates.folder.mkdir(parents=True)
    (rates.folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=f"sweeps/rates/{name} leads through a link"):
        command.run(rates)
    assert not (tmp_path / "elsewhere").exists()


@needs_optuna
def test_the_search_goes_on_as_if_it_had_not_stopped():
    spaces = [Range("lr", 1e-5, 1e-3, log=True, whole=False), Choices("seed", ("1", "2"))]

    def search(found: list[Trial], count: int) -> list[Trial]:
        for number in range(len(found) + 1, count + 1):
            chosen = searching.suggest(spaces, found, number, seed=3)
            found.append(trial(number, [(10, abs(float(chosen["lr"]) - 1e-4))], **chosen))
        return found

    whole, resumed = search([], 30), search(search([], 13), 30)
    assert whole == resumed
    assert all(1e-5 <= float(one.values["lr"]) <= 1e-3 for one in whole)
    assert {one.values["seed"] for one in whole} == {"1", "2"}
    early, late = ([one.best for one in part] for part in (whole[:10], whole[20:]))
    assert sum(late) < sum(early), "TPE moves to what was better"


@needs_optuna
def test_a_trial_is_given_up_only_above_the_median_and_after_a_third():
    done = [trial(number, [(step, 5 - step / 10) for step in (0, 4, 8, 12)]) for number in range(4)]
    bad = [(0, 5.0), (4, 4.9), (8, 4.8)]
    assert searching.is_hopeless(done, bad)
    assert not searching.is_hopeless(done, bad[:1])
    assert not searching.is_hopeless(done, [(0, 5.0), (4, 4.5), (8, 4.1)])
    assert not searching.is_hopeless(done[:3], bad)
    phase2 = [replace(one, curve=[(one.number + step, value) for step, value in one.curve]) for one in done]
    later = [(step + 42, value) for step, value in bad]
    assert [searching.is_hopeless(phase2, later[:n]) for n in (1, 2, 3)] == [False, True, True]


def test_without_optuna_a_range_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"^a range and --prune need Optuna; run `pip install"):
        searching.optuna()


def test_a_range_needs_a_number_of_trials(monkeypatch):
    monkeypatch.chdir(ROOT)
    given = command_line.parser().parse_args(["sweep", "rates", "-S", "lr=1e-5..1e-3"])
    with pytest.raises(
        UserError, match=r"^a range such as lr=1e-5\.\.1e-3 needs --trials N, .* because it has no last value\.$"
    ):
        given.run(given)


@pytest.mark.parametrize("name", ["../x", "-x", "", "a b", "a" * 41, "1st"])
def test_names_that_are_no_experiments(monkeypatch, name):
    monkeypatch.chdir(ROOT)
    given = command_line.parser().parse_args(["sweep", "-S", "lr=1e-4", "--", name])
    with pytest.raises(UserError, match=r"^the command line: 'name' is"):
        given.run(given)


def test_the_reason_of_a_failure_is_the_log_s(tmp_path):
    log = tmp_path / "log"
    log.write_text("x\nerror: data/raw/anna is missing; put it there.\nERROR: failed to reproduce 'prepare'\n")
    assert running.last_error(log, 1) == "data/raw/anna is missing; put it there."
    begin = log.stat().st_size
    with log.open("a") as file:
        file.write("Traceback (most recent call last):\nValueError: nothing\n")
    assert running.last_error(log, 1, begin) == "ValueError: nothing", "an earlier attempt's error is not this one's"
    log.write_text("")
    assert running.last_error(log, 3) == "exit status 3"


def test_a_curve_counts_only_while_its_phase_trains(tmp_path, monkeypatch):
    """Before it, the temporary workspace has the curve of HEAD, which DVC checked out there."""
    path = tmp_path / running.curve_file("train_phase2")
    path.parent.mkdir(parents=True)
    path.write_text("step\tmel_ce\n0\t9.0\n")
    (tmp_path / "train.py").write_text("import time; time.sleep(2)\n")
    code = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]])"
    monkeypatch.setattr(running, "_LOOK_SECONDS", 0.2)
    monkeypatch.setattr(guard, "find_place", lambda pid: tmp_path)
    done = tuple(trial(number, [(0, 1.0), (4, 1.0)]) for number in range(4))
    judged = []
    monkeypatch.setattr(searching, "is_hopeless", lambda done, curve: judged.append(curve))
    order = running.Order("rates", 5, {}, "0" * 40, "train_phase2", 1, done)
    for phase, seen in (("train_phase1", []), ("train_phase2", [(0, 9.0)])):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "train.py"), phase])
        assert running._watch(process, order) == ("done", seen)
    assert judged == [[(0, 9.0)]]


def test_a_plan_tells_ranges_apart():
    texts = ("seed=1000000..1000001", "train_phase1.weight_decay=0..1", "lr=log:1e-5..1e-3")
    told = [command._told(space) for space in values.parse(texts, ROOT / "params.yaml")]
    assert told == ["seed=1000000..1000001", "train_phase1.weight_decay=0.0..1.0", "lr=log:1e-05..0.001"]


def test_a_trial_that_fails_in_an_unknown_way_does_not_end_the_others(rates, monkeypatch, capsys):
    def fail_first(order: running.Order) -> Trial:
        if order.number == 1:
            raise RuntimeError("of another program")
        return trial(order.number, [(0, 5.0)], **order.values)

    monkeypatch.setattr(running, "run", fail_first)
    with pytest.raises(UserError, match="1 of 2 trials failed"):
        command.run(rates)
    said = capsys.readouterr().out
    assert "rates-001 (lr=1e-4) failed: RuntimeError: of another program" in said
    assert "rates-002 (lr=2e-4) done" in said


def test_a_command_ends_with_the_process_that_asked_for_it(tmp_path):
    code = "import os, subprocess, sys; subprocess.run([sys.executable, sys.argv[1], str(os.getpid()), *sys.argv[2:]])"
    sleeper = f"import os, time; open({str(tmp_path / 'began')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code, guard.__file__, sys.executable, "-c", sleeper])
    for _ in range(200):
        if (tmp_path / "began").exists() and (tmp_path / "began").read_text():
            break
        time.sleep(0.1)
    child = psutil.Process(int((tmp_path / "began").read_text()))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    child.wait(timeout=10)


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A small repository whose first stages have run, and in which a training takes 12 steps."""
    settings = yaml.safe_load(small_params())
    for phase in ("train_phase1", "train_phase2"):
        settings[phase] |= {"epochs": 6, "max_steps": 12, "eval_every": 3}
    folder = clone(tmp_path_factory.mktemp("sweep"), yaml.safe_dump(settings, sort_keys=False))
    run(folder, "dvc", "repro", "encode", "choose")
    for key, value in (("user.name", "t"), ("user.email", "t@t.invalid")):
        run(folder, "git", "config", key, value)
    commit(folder, "results")
    return folder


def swept(folder: Path, name: str, *arguments: str, ok: bool = True) -> str:
    rest = ("sweep", name, "--target", "train_phase1", "--threads", "1", *arguments)
    return run(folder, sys.executable, "-m", "voicetune", *rest, ok=ok)


def figures(folder: Path, name: str) -> dict[int, tuple]:
    found = [json.loads(line) for line in (folder / "sweeps" / name / trials.JOURNAL).read_text().splitlines() if line]
    return {one["number"]: (one["values"], one["ended"], one["curve"]) for one in found}


def copied(begun: Path, place: Path) -> Path:
    shutil.copytree(begun, place, symlinks=True)
    return place


@pytest.mark.slow
def test_a_sweep_that_was_stopped_and_killed_ends_in_the_same_figures(begun, tmp_path):
    grid = ("-S", "train_phase1.lr=1e-4,4e-4")
    usual = copied(begun, tmp_path / "usual")
    said = swept(usual, "rates", *grid)
    assert "`dvc exp apply rates-00" in said
    names = run(usual, "dvc", "exp", "list", "--name-only").split()
    assert sorted(names) == ["rates-001", "rates-002"]
    assert "lr: 0.0004" in run(usual, "git", "show", f"{trial_commit(usual, 'rates-002')}:params.yaml")

    broken = copied(begun, tmp_path / "broken")
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = start(broken, *grid)
        wait_for_steps(broken)
        process.send_signal(number)
        process.wait(timeout=180)
        assert not wait_for_no_training(broken)
    assert "error: stopped; the same command goes on from here." in (broken / "said").read_text()
    swept(broken, "rates", *grid)
    assert figures(broken, "rates") == figures(usual, "rates")
    assert list((broken / ".dvc/tmp/exps/standalone").glob("tmp*")) == []
    assert list((broken / "state").glob("*")) == []


def trial_commit(folder: Path, name: str) -> str:
    return run(folder, "git", "for-each-ref", "--format=%(objectname)", f"refs/exps/**/{name}").strip()


def start(folder: Path, *grid: str) -> subprocess.Popen:
    rest = ("sweep", "rates", "--target", "train_phase1", "--threads", "1", *grid)
    with (folder / "said").open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "voicetune", *rest], cwd=folder, env=ENVIRONMENT, stdout=said, stderr=said
        )


def wait_for_steps(folder: Path) -> None:
    for _ in range(1200):
        if list((folder / "state").glob("*/at")):
            return
        time.sleep(0.1)
    raise AssertionError(f"no training began: {(folder / 'said').read_text()}")


def wait_for_no_training(folder: Path) -> list[psutil.Process]:
    """The processes that still work below the folder after ten seconds."""
    for _ in range(100):
        left = [one for one in psutil.process_iter(["cwd"]) if (one.info["cwd"] or "").startswith(str(folder))]
        if not left:
            return []
        time.sleep(0.1)
    return left


@pytest.mark.slow
def test_a_failed_trial_is_named_and_the_others_go_on(begun, tmp_path):
    folder = copied(begun, tmp_path / "failing")
    said = swept(folder, "bases", "-S", "base=nowhere,tiny", ok=False)
    assert "bases-001 (base=nowhere) failed: " in said
    assert "bases-002 (base=tiny) done, mel CE " in said
    assert "1 of 2 trials failed; sweeps/bases/logs/bases-001.log says why." in said
    assert set(figures(folder, "bases")) == {1, 2}


@pytest.mark.slow
@needs_optuna
def test_a_search_with_pruning(begun, tmp_path):
    folder = copied(begun, tmp_path / "search")
    swept(folder, "rates", "-S", "train_phase1.lr=log:1e-6..1e-3", "--trials", "7", "--prune")
    found = figures(folder, "rates")
    assert set(found) == set(range(1, 8))
    assert {ended for _, ended, _ in found.values()} <= {"done", "pruned"}


@pytest.mark.ray
def test_eight_trials_on_two_ray_workers_equal_eight_one_after_the_other(begun, tmp_path):
    """A worker is killed in the middle, and its trial goes on in another one."""
    pytest.importorskip("ray", reason="ray is not installed; `make test-ray` installs it")
    grid = ("-S", "train_phase1.lr=1e-4,2e-4,3e-4,4e-4", "-S", "train_phase1.warmup_steps=0,2")
    usual, ray = copied(begun, tmp_path / "usual"), copied(begun, tmp_path / "ray")
    swept(usual, "rates", *grid)
    settings = yaml.safe_load((ray / "params.yaml").read_text()) | {"engine": "ray", "jobs": 2}
    (ray / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    commit(ray, "on Ray")
    process = start(ray, *grid, "--parallel", "2")
    wait_for_steps(ray)
    workers = [one for one in psutil.Process(process.pid).children(recursive=True) if one.name() == "ray::task"]
    os.kill(workers[0].pid, signal.SIGKILL)
    assert process.wait(timeout=900) == 0, (ray / "said").read_text()
    assert figures(ray, "rates") == figures(usual, "rates")


def test_the_targets_are_stages():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert set(SWEPT) <= set(stages)
    assert command.threads_for(10**6) == 1


def test_an_experiment_of_an_earlier_sweep_is_not_taken_for_a_new_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "-q")
    (tmp_path / "params.yaml").write_text("lr: 1e-04\nloud: true\nasr: null\ntrain_phase1: {lr: 2.0e-4}\n")
    commit(tmp_path, "an experiment")
    trials.check_values("HEAD", "rates-001", {"lr": "1e-4", "train_phase1.lr": "0.0002", "loud": "true", "asr": "null"})
    with pytest.raises(UserError, match=r"^the experiment rates-001 has lr 1e-04 and not 3e-4, so it is of an earlier"):
        trials.check_values("HEAD", "rates-001", {"lr": "3e-4"})


def test_an_experiment_that_took_along_an_edit_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "-q")
    first = "lr: 1e-04\ntrain_phase1: {lr: 2.0e-4, epochs: 3}\n"
    for name, text in (("params.yaml", first), ("code.py", ""), ("dvc.lock", "")):
        (tmp_path / name).write_text(text)
    commit(tmp_path, "the beginning")

    def experiment(**changes: str) -> str:
        for name, text in changes.items():
            (tmp_path / name.replace("_", ".")).write_text(text)
        commit(tmp_path, "an experiment")
        made = run(tmp_path, "git", "rev-parse", "HEAD").strip()
        run(tmp_path, "git", "reset", "-q", "--hard", "HEAD~1")
        return made

    values = {"train_phase1.lr": "5e-4"}
    made = experiment(params_yaml=first.replace("2.0e-4", "5e-4"), dvc_lock="x")
    begun = run(tmp_path, "git", "rev-parse", "HEAD").strip()
    trials.check_alone(made, begun, "rates-001", values)
    made = experiment(params_yaml=first.replace("2.0e-4, epochs: 3", "5e-4, epochs: 9"), code_py="print()")
    with pytest.raises(UserError, match=r"rates-001 also has changes in code.py, params.yaml \(train_phase1.epochs\)"):
        trials.check_alone(made, begun, "rates-001", values)


@pytest.fixture
def experiments(tmp_path, monkeypatch) -> str:
    """A repository of DVC whose stage copies params.yaml; its commit."""
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, sys.executable, "-m", "dvc", "init", "-q")
    stage = {"cmd": "cat params.yaml > out", "params": ["lr"], "outs": ["out"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train_phase1": stage}}))
    (tmp_path / "params.yaml").write_text("lr: 0.1\n")
    (tmp_path / ".gitignore").write_text("/out\n/sweeps\n")
    commit(tmp_path, "the beginning")
    return run(tmp_path, "git", "rev-parse", "HEAD").strip()


def test_a_trial_runs_no_experiment_of_others(experiments, tmp_path, monkeypatch):
    """Another process has put its experiment into DVC's queue, and has not begun it. The first try finds DVC busy."""
    other = "tempdir_queue.put(params={'params.yaml': ['lr=9']}, name='other')"
    run(tmp_path, sys.executable, "-c", f"from dvc.repo import Repo; Repo().experiments.{other}")
    (tmp_path / "sweeps/rates/logs").mkdir(parents=True)
    monkeypatch.setattr(running, "read_curve", lambda commit, target: [(0, 1.0)])
    clock = {"time": time.time, "monotonic": time.monotonic, "sleep": lambda seconds: time.sleep(min(seconds, 0.2))}
    monkeypatch.setattr(running, "time", SimpleNamespace(**clock))
    tried, run_once = [], running._run_once

    def run_busy_once(order, log, began):
        tried.append(order)
        if len(tried) > 1:
            return run_once(order, log, began)
        log.write("error: another training (process 7) uses state/train_phase1-0; wait for it.\n")
        return "done", [], 1

    monkeypatch.setattr(running, "_run_once", run_busy_once)
    order = running.Order("rates", 1, {"lr": "0.2"}, experiments, "train_phase1", 1, None)
    ended = running.run(order)
    assert (ended.ended, ended.curve, len(tried)) == ("done", [(0, 1.0)], 2)
    assert trials.find_experiment("rates-001", experiments)
    assert trials.find_experiment("other", experiments) is None
    assert "lr: 0.2" in run(tmp_path, "git", "show", f"{trials.find_experiment('rates-001', experiments)}:params.yaml")
    with pytest.raises(UserError, match=r"^1 experiments of an earlier sweep 'rates' are left; remove them with"):
        trials.begin(tmp_path / "sweeps/rates", {"commit": experiments})
    trials.begin(tmp_path / "sweeps/rate", {"commit": experiments})


def test_a_trial_begins_only_at_the_commit_of_its_sweep(experiments, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "_LOOKS", 2)
    trials.check_start(experiments)
    (tmp_path / "params.yaml").write_text("lr: 0.3\n")
    with pytest.raises(UserError, match=r"^a sweep starts from a commit, but params.yaml differ"):
        trials.check_start(experiments)
    commit(tmp_path, "another rate")
    with pytest.raises(UserError, match=rf"^the sweep began from commit {experiments[:10]}, and HEAD is "):
        trials.check_start(experiments)


def test_a_trial_that_was_stopped_goes_on_with_what_was_proposed_and_a_failed_one_does_not(rates, monkeypatch):
    monkeypatch.setattr(searching, "optuna", lambda: None)
    monkeypatch.setattr(searching, "suggest", lambda spaces, done, number, seed: {"lr": f"{len(done)}e-4"})
    begun, why = [], running.STOPPED

    def end(order: running.Order) -> Trial:
        begun.append(order.values)
        return Trial(order.number, order.values, "failed", [], 0.0, why)

    monkeypatch.setattr(running, "run", end)
    with pytest.raises(UserError, match=r"^stopped; the same command goes on"):
        command.run(replace(rates, count=2))
    with (rates.folder / trials.PROPOSED).open("a") as file:
        file.write("[3, {")
    trials.add(rates.folder, trial(1, [(0, 1.0)], lr="0e-4"))
    why = "memory ran out"
    for _ in range(2):
        with pytest.raises(UserError, match="1 of 2 trials failed"):
            command.run(replace(rates, count=2))
    assert begun == [{"lr": "0e-4"}] * 3 + [{"lr": "1e-4"}], "only after it failed, it is proposed anew"


def test_an_error_of_the_sweep_stops_its_trials(rates, monkeypatch):
    monkeypatch.setattr(trials, "add", lambda folder, one: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command.run(rates)
    assert (rates.folder / trials.STOP).exists()


@needs_optuna
def test_any_seed_of_params_yaml_seeds_the_search():
    assert searching.suggest([Choices("lr", ("1", "2"))], [], 20, 2**31 - 1)["lr"] in ("1", "2")


def test_a_reason_with_markup_or_escapes_is_shown_as_it_is():
    sweep = command.Sweep("rates", [Choices("lr", ("1e-4",))], None, 1, "train_phase1", False, 1, 1)
    odd = Trial(1, {"lr": "1e-4"}, "failed", [], 1.0, "boom [/work] \x1b[31m")
    (cell,) = command._table(sweep, [odd], []).columns[-1].cells
    assert "\x1b" not in cell
    assert "\\[/work]" in cell
