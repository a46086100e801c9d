"""Where processes cannot be forked, a training runs in a new process, and ends in the same bits after it dies."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from test_restarts import EXACT, cuda_error, kill
from test_training import BY_MEL_CE, Curve, bytes_of, settings_with

from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.training import agent, loop, phase, spawned
from voicetune.training.attempts import KILLED, Attempts

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT, CODE = Path(__file__).parents[1], ("src", "tests", "bench", ".")
DEATHS = {0: (3, kill), 1: (5, cuda_error)}  # at the restart of this number: the step, and how the process ends


class Dying(Attempts):
    """Ends its process as planned."""

    def at(self, step: int) -> None:
        super().at(step)
        planned, end = DEATHS.get(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "9")), (0, kill))
        if step and step == planned:
            end()


def train(place: Path, base: Path, dataset: Path) -> None:
    """Train in the process that imports this module: it saves its state after every step, and dies as planned."""
    os.chdir(place)
    torch.set_num_threads(1)
    phase.Attempts = Dying
    loop._SAVE_SECONDS = 0.0
    restarts = phase.run(
        "train_phase1", settings_with(**EXACT), BY_MEL_CE, base, place / "out", Dataset(dataset), Curve()
    )
    Path("restarts.json").write_text(json.dumps(restarts))


@pytest.mark.slow
def test_a_training_whose_processes_die_ends_in_the_same_bits(small_base, dataset, tmp_path, monkeypatch):
    (tmp_path / "spawned").mkdir()
    assert spawned.run(partial(train, tmp_path / "spawned", small_base, dataset), restarts=3) is None
    monkeypatch.chdir(tmp_path)
    phase.run("train_phase1", settings_with(**EXACT), BY_MEL_CE, small_base, Path("out"), Dataset(dataset), Curve())
    assert bytes_of(tmp_path / "spawned" / "out") == bytes_of(tmp_path / "out")
    assert json.loads((tmp_path / "spawned" / "restarts.json").read_text()) == [
        {"step": 4, "why": KILLED},
        {"step": 6, "why": "RuntimeError: CUDA error: an illegal memory access was encountered"},
    ]


def refuse() -> None:
    raise UserError("data/codes is damaged; run `dvc repro encode`.")


def fail_and_count(place: Path) -> None:
    with (place / "runs").open("a") as file:
        file.write("x")
    raise RuntimeError("no good")


def write_environment(place: Path) -> None:
    names = ("RANK", "WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT")
    (place / "environment").write_text(" ".join(os.environ[name] for name in names))


def sleep(place: Path) -> None:
    (place / "began").write_text(str(os.getpid()))
    time.sleep(60)


@pytest.mark.slow
def test_a_user_error_ends_it_without_a_restart():
    assert spawned.run(refuse, restarts=3) == "data/codes is damaged; run `dvc repro encode`."


def test_a_process_that_sent_nothing_is_no_error_on_windows():
    class Broken:
        def poll(self) -> bool:
            raise BrokenPipeError(109, "The pipe has been ended")

    assert spawned._receive(Broken()) == ("", None)


@pytest.mark.slow
def test_restarts_are_counted(tmp_path, capfd):
    with pytest.raises(UserError) as caught:
        spawned.run(partial(fail_and_count, tmp_path), restarts=1)
    assert str(caught.value) == (
        "given up after the training failed: RuntimeError: no good; run the same command to try again."
    )
    assert (tmp_path / "runs").read_text() == "xx"


@pytest.mark.slow
def test_the_work_is_rank_0_of_1(tmp_path):
    spawned.run(partial(write_environment, tmp_path), restarts=0)
    assert (tmp_path / "environment").read_text() == "0 1 0"


def wait_for(path: Path) -> str:
    for _ in range(600):
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")


def test_a_signal_ends_it_with_one_sentence(tmp_path):
    def stop() -> None:
        wait_for(tmp_path / "began")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    with pytest.raises(UserError, match=r"^stopped by SIGTERM; run the same command again"):
        spawned.run(partial(sleep, tmp_path), restarts=3)
    assert multiprocessing.active_children() == []


def be_deaf(place: Path) -> None:
    """Do not stop, as a training that has taken its last step."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (place / "began").write_text("now")
    time.sleep(1)


def test_a_signal_after_the_last_step_changes_nothing(tmp_path):
    def stop() -> None:
        wait_for(tmp_path / "began")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    assert spawned.run(partial(be_deaf, tmp_path), restarts=3) is None


@pytest.mark.slow
def test_the_training_ends_when_the_process_of_the_stage_is_killed(tmp_path):
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from functools import partial; from pathlib import Path\n"
        "import test_spawned; from voicetune.training import spawned\n"
        "if __name__ == '__main__': spawned.run(partial(test_spawned.sleep, Path(sys.argv[1])), 0)\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path), *(str(ROOT / one) for one in CODE)])
    child = psutil.Process(int(wait_for(tmp_path / "began")))
    parent.kill()
    parent.wait()
    child.wait(timeout=10)


@pytest.mark.slow
def test_the_agent_spawns_where_it_cannot_fork(tmp_path, monkeypatch):
    monkeypatch.setattr(agent, "can_fork", lambda: False)
    agent.run(partial(write_environment, tmp_path), 1, 1, 0, 0)
    assert (tmp_path / "environment").read_text() == "0 1 0"
    with pytest.raises(UserError, match=r"^devices is 2, but only Linux can train on several"):
        agent.run(partial(write_environment, tmp_path), 2, 1, 0, 0)
