"""A training whose processes die resumes in new ones, on one device or two, and ends in the same bits."""

import copy
import json
import multiprocessing
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import chaos
import pytest
import torch
from test_training import BY_MEL_CE, Curve, bytes_of, facts_file, points, settings_with

from voicetune import entry
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.training import agent, loop, phase
from voicetune.training.attempts import KILLED, OUT_OF_MEMORY, Attempts
from voicetune.training.checkpoint import State

pytestmark = pytest.mark.usefixtures("one_thread", "own_signals")

EXACT = {"precision": "32-true", "dropout": 0.0, "max_steps": 8, "eval_every": 2, "batch_size": 3, "accumulate": 2}
UNDISTURBED: dict = {}
LONG = {"max_steps": 5000, "eval_every": 5000, "epochs": 5000}


@pytest.fixture
def own_signals():
    """Restore the signal handlers after each test, because the agent replaces them."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def cuda_error() -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def out_of_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


class Striking(Attempts):
    """Disturb processes as planned. plan: {(restart, rank): (step from 0, function to call)}."""

    plan: dict = {}  # noqa: RUF012 - set by the test, read by the processes that it forks

    def at(self, step: int) -> None:
        super().at(step)
        key = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)), int(os.environ.get("RANK", 0))
        if key in self.plan and self.plan[key][0] == step and step:
            self.plan[key][1]()


class Trained(NamedTuple):
    """Results of a training. restarts: as `phase.run` returns them. files: the SHA-256 of each file."""

    curve: Curve
    restarts: list[dict]
    facts: dict
    files: dict[str, str]


@pytest.fixture
def trained(small_base, dataset, tmp_path, monkeypatch):
    """Return a function that trains under the agent, with the disturbances of a plan, and returns the results."""
    monkeypatch.setattr(phase, "Attempts", Striking)
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0.0)  # so that it resumes from the middle, not from the first state

    def undisturbed(**given):
        """The results of the same training without disturbances. Each is trained only once."""
        key = json.dumps(given, sort_keys=True)
        if key not in UNDISTURBED:
            UNDISTURBED[key] = train(where="undisturbed", **given)
        return copy.deepcopy(UNDISTURBED[key])

    def train(plan=None, devices=1, strategy="ddp", restarts=3, where="here", **changes):
        place = tmp_path / where
        place.mkdir(exist_ok=True)
        monkeypatch.chdir(place)
        monkeypatch.setattr(Striking, "plan", plan or {})
        settings = settings_with(**{**EXACT, **changes}).model_copy(update={"devices": devices, "strategy": strategy})

        def work() -> None:
            curve = Curve()
            data, out = Dataset(dataset), place / "out"
            restarts = phase.run("train_phase1", settings, BY_MEL_CE, small_base, out, data, curve)
            if entry.is_first():
                Path("curve.json").write_text(json.dumps([curve, restarts]))

        agent.run(work, devices, 1, restarts, agent.halvings(EXACT["batch_size"]))
        curve, told = json.loads(Path("curve.json").read_text())
        facts = facts_file(place / "out")["facts"]
        return Trained(Curve((step, row) for step, row in curve), told, facts, bytes_of(place / "out"))

    train.undisturbed = undisturbed
    return train


def test_a_killed_process_and_a_cuda_error_change_no_result(trained):
    usual = trained.undisturbed()
    found = trained({(0, 0): (3, kill), (1, 0): (5, cuda_error)})
    assert points(found.curve) == points(usual.curve)
    assert found.files == usual.files  # weights, speakers and facts
    assert usual.restarts == []
    why = "RuntimeError: CUDA error: an illegal memory access was encountered"
    assert found.restarts == [{"step": 4, "why": KILLED}, {"step": 6, "why": why}]


@pytest.mark.parametrize("at", ["", "a.0", "a.0 7", "a.0 x\n"])
def test_damaged_notes_of_failures_are_ignored(tmp_path, at):
    """After a full disk or a power cut, a line may be incomplete."""
    (tmp_path / "failures.jsonl").write_text('{"attempt": "a.0", "st')
    (tmp_path / "at").write_text(at)
    attempts = Attempts(tmp_path, "a.1", first=True)
    attempts.begin()
    assert attempts.failures() == []
    with pytest.raises(RuntimeError), attempts.recorded():
        raise RuntimeError("first")
    assert [failure.why for failure in attempts.failures()] == ["RuntimeError: first"]


def test_a_half_written_step_of_a_killed_process_is_read(tmp_path):
    (tmp_path / "at").write_text("a.0 9\n2\n")  # written over "a.0 112", and not finished
    attempts = Attempts(tmp_path, "a.1", first=True)
    attempts.begin()
    assert attempts.list_restarts() == [{"step": 10, "why": KILLED}]


@pytest.mark.slow
def test_a_step_that_fails_twice_ends_the_training(trained, tmp_path):
    again = {(attempt, 0): (5, cuda_error) for attempt in range(9)}
    with pytest.raises(UserError, match=r"step 6 failed twice \(RuntimeError: CUDA error.*crash\.log"):
        trained(again, restarts=8)
    (place,) = (tmp_path / "here" / "state").iterdir()
    assert len((place / "failures.jsonl").read_text().split("\n\n")) == 2
    assert (place / "crash.log").read_text().count("Traceback") == 2
    assert State(place).newest() == 5
    assert trained().facts["steps"] == 8  # when the user starts it again, the step is tried again


@pytest.mark.slow
def test_the_training_gives_up_after_its_last_restart(trained):
    ever = {(attempt, 0): (2 + attempt % 2, kill) for attempt in range(9)}
    with pytest.raises(UserError, match=r"given up after SIGKILL ended the training; run the same command"):
        trained(ever, restarts=0)


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_halved_without_changing_the_step(trained, capfd):
    usual = trained.undisturbed(accumulate=1)
    short = {(0, 0): (1, out_of_memory), (1, 0): (3, out_of_memory)}
    found = trained(short, accumulate=1)
    assert [told["why"] for told in found.restarts] == [OUT_OF_MEMORY] * 2
    said = capfd.readouterr().out
    assert "2 clips at a time instead of 3" in said
    assert "1 clips at a time instead of 3" in said
    for name in ("train/mel_ce", "train/text_ce", "validation/mel_ce"):
        assert found.curve.of(name) == pytest.approx(usual.curve.of(name), abs=1e-5)


@pytest.mark.slow
def test_one_clip_that_does_not_fit_ends_the_training(trained):
    ever = {(attempt, 0): (1, out_of_memory) for attempt in range(9)}
    with pytest.raises(UserError, match="one clip at a time does not fit into memory"):
        trained(ever)


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_two_processes_give_the_losses_of_one(trained, strategy):
    """The batches have 3, 3, 3 and 1 clips, so the second process gets no clip of the last one."""
    one = trained.undisturbed(accumulate=1).curve
    two = trained.undisturbed(accumulate=1, devices=2, strategy=strategy).curve
    for name in ("train/mel_ce", "train/text_ce", "validation/mel_ce", "validation/text_ce"):
        assert two.of(name) == pytest.approx(one.of(name), abs=1e-5)
        assert len(two.of(name)) > 4


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_if_one_of_two_processes_dies_both_restart_and_the_result_is_the_same(trained, strategy):
    usual = trained.undisturbed(accumulate=1, devices=2, strategy=strategy)
    found = trained({(0, 1): (3, kill)}, accumulate=1, devices=2, strategy=strategy)
    assert points(found.curve) == points(usual.curve)
    assert found.files == usual.files
    assert len(found.restarts) == 1


@pytest.mark.slow
def test_restarted_processes_do_not_connect_to_dead_ones(tmp_path):
    """The second process is ready long before the first, and the store may still hold addresses of dead processes."""

    def meet() -> None:
        again = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
        if again and entry.is_first():
            time.sleep(0.5)
        torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=30))
        torch.distributed.all_reduce(met := torch.ones(1))
        if again < 4:
            kill()
        (tmp_path / os.environ["RANK"]).write_text(f"{again} {met.item():g}")

    agent.run(meet, 2, 1, 9, 0)
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["4 2", "4 2"]


def test_cuda_is_not_touched_before_the_processes_are_forked(tmp_path, monkeypatch):
    """On a machine with two (fake) GPUs, LaunchConfig must count them by NVML, even if the environment does not ask."""
    counted = tmp_path / "counted by CUDA"
    monkeypatch.delenv("PYTORCH_NVML_BASED_CUDA_CHECK", raising=False)
    monkeypatch.setattr(torch.cuda, "_is_compiled", lambda: True)
    monkeypatch.setattr(torch.cuda, "_device_count_nvml", lambda: 2)
    monkeypatch.setattr(torch._C, "_cuda_getDeviceCount", lambda: counted.touch() or 2, raising=False)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: False)  # an earlier test may have set it
    agent.run(lambda: (tmp_path / "worked").touch(), 1, 1, 0, 0)
    assert {path.name for path in tmp_path.iterdir()} == {"worked"}


def test_using_cuda_before_the_fork_is_an_error(tmp_path, monkeypatch):
    def work() -> None:
        (tmp_path / "worked").touch()

    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_initialized", lambda: True)
        with pytest.raises(RuntimeError, match="the GPU was used before the training processes were started"):
            agent.run(work, 1, 1, 0, 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)  # a process forked from such a parent
    with pytest.raises(UserError, match="the GPU was used before the training processes were started"):
        agent.run(work, 1, 1, 0, 0)
    assert not list(tmp_path.iterdir())


def test_several_nodes_need_torchrun():
    with pytest.raises(UserError, match=r"num_nodes is 2: start this stage with torchrun"):
        agent.run(lambda: None, 1, 2, 0, 0)


# A signal to the stage's own process


def begun(target, place: Path):
    """Start a stage in a process, and return it when its training has taken some steps."""
    process = multiprocessing.get_context("fork").Process(target=target)
    process.start()
    for _ in range(600):
        if (found := list(place.glob("state/*/at"))) and found[0].read_text().split()[1:] > ["2"]:
            return process
        time.sleep(0.05)
    raise AssertionError("no training began")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stage_that_is_stopped_saves_its_state(trained, tmp_path, capfd, number):
    def stage() -> None:
        with pytest.raises(UserError) as error:
            trained(**LONG)
        print(error.value, flush=True)

    process = begun(stage, tmp_path / "here")
    os.kill(process.pid, number)
    process.join(30)
    assert not process.exitcode
    assert f"stopped by {number.name}; run the same command again" in capfd.readouterr().out
    (place,) = (tmp_path / "here" / "state").iterdir()
    assert State(place).newest() > 1
    assert not (place / "at").exists()


@pytest.mark.slow
def test_a_training_that_is_disturbed_at_random_moments_ends_in_the_same_bits(small_base, dataset, tmp_path):
    """`make chaos` does this with fifty disturbances."""
    happened, same = chaos.compare(tmp_path, small_base, dataset, times=2, seed=2, steps=40)
    assert all(same.values()), same
    assert happened["disturbed"] == 2


def test_no_process_trains_on_after_its_stage_was_killed(trained, tmp_path):
    process = begun(lambda: trained(**LONG), tmp_path / "here")
    process.kill()
    process.join(30)
    (place,) = (tmp_path / "here" / "state").iterdir()
    time.sleep(0.3)
    before = (place / "at").read_text()
    time.sleep(0.5)
    assert (place / "at").read_text() == before
