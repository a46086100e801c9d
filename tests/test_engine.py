"""The engines: many items in several processes, or on Ray, with the same results in the same order."""

import importlib.util
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
from conftest import ROOT
from test_long import RATE, glued
from test_prepare import tree, write_params, write_recordings, write_script

from voicetune import engine
from voicetune.errors import UserError
from voicetune.params import reading
from voicetune.params.unlisted import Unlisted


def settings(**changes) -> Unlisted:
    return Unlisted(**{"jobs": 2, "engine": "local", "ray_address": None, "max_restarts": 0, **changes})


def late_square(number: int) -> tuple[int, int]:
    """The first items take the longest, so that the later ones are ready before them."""
    time.sleep(max(0.0, 0.3 - 0.1 * number))
    return number**2, os.getpid()


def fail_at_5(number: int) -> int:
    if number == 5:
        raise UserError(f"item {number} is bad; correct it.")
    return number


def die_at_5(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_are_in_the_order_of_the_items_and_come_from_several_processes():
    results = list(engine.map_all(late_square, range(20), settings()))
    assert [square for square, _ in results] == [number**2 for number in range(20)]
    processes = {process for _, process in results}
    assert len(processes) == 2
    assert os.getpid() not in processes


@pytest.mark.parametrize(("jobs", "processes"), [(1, None), (2, 1)])
def test_one_process_is_this_one(jobs, processes):
    results = engine.map_all(late_square, range(3, 6), settings(jobs=jobs), processes=processes)
    assert [process for _, process in results] == [os.getpid()] * 3
    assert list(engine.map_all(late_square, [], settings())) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_the_work_reaches_the_caller_after_the_results_before_it(jobs):
    results = engine.map_all(fail_at_5, range(8), settings(jobs=jobs))
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(UserError, match=r"^item 5 is bad; correct it\.$"):
        list(results)


def test_a_killed_process_is_one_sentence():
    with pytest.raises(UserError, match=r"a process that prepared clips was killed.*set `jobs: 1`"):
        list(engine.map_all(die_at_5, range(8), settings()))


def test_ray_that_is_not_installed_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"engine is ray, which is not installed; run .* ray`, or set engine"):
        list(engine.map_all(fail_at_5, range(4), settings(engine="ray")))


def test_what_ray_writes_lies_in_the_project_if_its_path_is_short_enough(tmp_path, monkeypatch):
    short = Path("/tmp") / f"engine-{os.getpid()}"
    short.mkdir()
    try:
        monkeypatch.chdir(short)
        place = engine._place()
        assert place == str((short / ".cache").resolve())
        assert len(place + engine._SOCKET) <= 107
    finally:
        (short / ".cache").rmdir()
        short.rmdir()
    deep = tmp_path / ("a" * 60)
    deep.mkdir()
    monkeypatch.chdir(deep)
    assert engine._place() is None


def test_an_address_where_nothing_answers_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(exceptions=SimpleNamespace(RayError=EOFError)))
    away = settings(engine="ray", ray_address="127.0.0.1:1")
    with pytest.raises(UserError, match=r"no Ray cluster can be used at 127\.0\.0\.1:1 \(ray_address\): .* refused"):
        list(engine.map_all(fail_at_5, range(2), away))
    with pytest.raises(UserError, match=r"'ray_address' is 'head', but should be: a host and a port, such as 10\.0\."):
        reading.check(Unlisted, {**away.model_dump(), "ray_address": "head"}, "params.yaml")


def test_a_ray_worker_that_does_not_see_the_folder_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = engine._task(pickle.dumps(late_square), "/nowhere/project/.cache/engine-1", sys.path)
    done, sentence = task(pickle.dumps(3))
    assert not done
    assert "does not see /nowhere/project, which all machines of the cluster must share under the same path" in sentence
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/engine-1").touch()
    monkeypatch.setenv(engine._ITEM, "")  # so that it is as before when the test ends
    task = engine._task(pickle.dumps(late_square), str(tmp_path / ".cache/engine-1"), sys.path)
    assert task(pickle.dumps(3)) == (True, (9, os.getpid()))
    monkeypatch.setitem(sys.modules, "ray", None)
    assert [one for one, _ in engine.map_all(late_square, [3, 4], settings(engine="ray"))] == [9, 16], "done here"


# On a Ray cluster of two workers


def die_once_at_5(number: int, folder: Path) -> int:
    """Note each call. The first one for item 5 ends as a killed process does."""
    with (folder / f"{number:02d}").open("a") as file:
        file.write("begun\n")
    if number == 5 and (folder / "05").read_text() == "begun\n":
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


@pytest.fixture
def on_ray(tmp_path, monkeypatch) -> Unlisted:
    if importlib.util.find_spec("ray") is None:  # the engine itself imports it, after it has set its environment
        pytest.skip("Ray is not installed")
    monkeypatch.chdir(tmp_path)
    return settings(engine="ray")


@pytest.mark.ray
def test_a_killed_worker_costs_only_its_item(on_ray, tmp_path):
    folder = tmp_path / "noted"
    folder.mkdir()
    found = list(engine.map_all(partial(die_once_at_5, folder=folder), range(12), on_ray))
    assert found == [number**2 for number in range(12)]
    assert {path.name: path.read_text().count("begun") for path in folder.iterdir()} == {
        f"{number:02d}": 1 + (number == 5) for number in range(12)
    }
    assert [path.name for path in (tmp_path / ".cache").iterdir()] == [], "nothing of Ray stays"


@pytest.mark.ray
def test_an_item_that_kills_every_worker_is_one_sentence(on_ray):
    with pytest.raises(UserError, match="4 Ray workers were killed one after the other at the same item"):
        list(engine.map_all(die_at_5, range(8), on_ray))


def squares_of_items(number: int) -> str:
    """The work of an item that starts a process with items of its own, as a trial of a sweep starts stages."""
    import ray

    inner = f"settings(engine='ray', ray_address={ray.get_runtime_context().gcs_address!r})"
    code = f"from test_engine import *; print([one for one, _ in engine.map_all(late_square, [3, {number}], {inner})])"
    return subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT / "tests", timeout=60)


@pytest.mark.ray
def test_the_items_of_an_item_do_not_wait_for_its_cores(on_ray):
    with engine.calling(squares_of_items, on_ray, cores=2) as call:
        assert call(4) == "[9, 16]\n"


@pytest.mark.ray
def test_an_error_of_the_work_on_ray_is_the_same_as_here(on_ray):
    results = engine.map_all(fail_at_5, range(8), on_ray)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(UserError, match=r"^item 5 is bad; correct it\.$"):
        list(results)


@pytest.mark.ray
def test_a_cluster_without_a_gpu_is_one_sentence(on_ray):
    with pytest.raises(UserError, match="the Ray cluster has no GPU, but device is cuda"):
        list(engine.map_all(fail_at_5, range(2), on_ray, gpus=64))


STAGES = {"transcribe": "data/transcripts", "prepare": "data/clips", "quality": "data/quality", "encode": "data/codes"}


def run_stages(folder: Path, name: str) -> dict[str, bytes]:
    """Run the stages on an engine from nothing, and return what they wrote."""
    for place in (*STAGES.values(), ".cache"):
        shutil.rmtree(folder / place, ignore_errors=True)
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("engine: local", f"engine: {name}"))
    for stage in STAGES:
        command = [sys.executable, str(ROOT / f"src/{stage}.py")]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    (folder / "params.yaml").write_text(text)
    return {stage: tree(folder / place) for stage, place in STAGES.items()}


@pytest.mark.ray
def test_the_stages_write_the_same_bytes_on_ray_as_here(on_ray, tmp_path, bundle_base):
    for number in range(2):
        (tmp_path / f"data/raw/talks/{number}").mkdir(parents=True)
        soundfile.write(tmp_path / f"data/raw/talks/{number}/talk.wav", glued(4 * number, 4, number).samples, RATE)
    talks = {"name": "talks", "reader": "long", "path": "data/raw/talks", "speaker": "host", "language": "en"}
    write_params(tmp_path, [write_recordings(tmp_path), write_script(tmp_path), talks], jobs=2)
    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("asr: small", "asr: tiny.en"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models/base").symlink_to(bundle_base)
    here, there = run_stages(tmp_path, "local"), run_stages(tmp_path, "ray")
    assert len(here["transcribe"]) == 3
    assert len(here["prepare"]) > len(here["transcribe"])
    for stage, written in here.items():
        assert there[stage].keys() == written.keys()
        assert [name for name in written if there[stage][name] != written[name]] == [], stage
