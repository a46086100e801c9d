"""A training that begins in one place and ends in another gives the same bits."""

import errno
import json
import os
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_restarts import EXACT
from test_training import BY_MEL_CE, Curve, bytes_of, settings_with

from voicetune import __main__ as command_line
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.training import carrying, loop, manifest, phase, state_folders
from voicetune.training.attempts import Attempts
from voicetune.training.carrying import Carried


class Cut(Attempts):
    """Ends the training before its sixth step, as a machine that is taken away."""

    def at(self, step: int) -> None:
        super().at(step)
        if step == 5:
            raise KeyboardInterrupt


def train(place: Path, base: Path, dataset: Path) -> dict[str, str]:
    phase.run("train_phase1", settings_with(**EXACT), BY_MEL_CE, base, place / "out", Dataset(dataset), Curve())
    return bytes_of(place / "out")


@pytest.fixture
def begun(small_base, dataset, tmp_path, monkeypatch) -> Path:
    """A folder in which a training was cut off."""
    place = tmp_path / "first"
    place.mkdir()
    (place / "params.yaml").touch()
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0.0)
    monkeypatch.chdir(place)
    with monkeypatch.context() as patch:
        patch.setattr(phase, "Attempts", Cut)
        with pytest.raises(KeyboardInterrupt):
            train(place, small_base, dataset)
    return place


class Stopped(Attempts):
    """Sends a signal before the last step."""

    def at(self, step: int) -> None:
        super().at(step)
        if step == EXACT["max_steps"] - 1:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.usefixtures("one_thread")
def test_a_signal_in_the_last_step_loses_nothing(small_base, dataset, tmp_path, monkeypatch):
    """A stage that was stopped gives DVC nothing, so the state has to stay until the stage has ended well."""
    for name in ("stopped", "usual"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        if name == "stopped":
            with monkeypatch.context() as patch:
                patch.setattr(phase, "Attempts", Stopped)
                with pytest.raises(UserError, match=r"stopped by SIGTERM at step 8 of 8"):
                    train(tmp_path / name, small_base, dataset)
            assert not (tmp_path / name / "out").exists()
    usual = train(tmp_path / "usual", small_base, dataset)
    monkeypatch.chdir(tmp_path / "stopped")
    assert train(tmp_path / "stopped", small_base, dataset) == usual


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_training_goes_on_elsewhere_in_the_same_bits(begun, small_base, dataset, tmp_path, monkeypatch, capsys):
    store = tmp_path / "store"
    call("states", "--to", str(store))
    shutil.rmtree(begun)
    for name in ("second", "usual"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "params.yaml").touch()
    monkeypatch.chdir(tmp_path / "second")
    call("states", "--from", str(store))
    said = capsys.readouterr().out
    assert said.count("step 5  carried to ") == 2
    found = train(tmp_path / "second", small_base, dataset)
    assert "resuming from step 5 of 8" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path / "usual")
    assert found == train(tmp_path / "usual", small_base, dataset)


def call(*arguments: str) -> None:
    given = command_line.parser().parse_args(arguments)
    given.run(given)


@pytest.mark.usefixtures("one_thread")
def test_only_whole_states_are_carried(begun, tmp_path):
    source = begun / "state"
    folder = next(source.iterdir())
    steps = [step for step, _ in manifest.find(folder)]
    newest = folder / manifest.state_name(steps[0])
    newest.write_bytes(newest.read_bytes()[:-1])
    assert list(carrying.carry(source, tmp_path / "store")) == [Carried(folder.name, steps[1])]
    copy = tmp_path / "store" / folder.name
    assert [step for step, _ in manifest.find(copy)] == [steps[1]]
    before = sorted(path.name for path in copy.iterdir())
    assert list(carrying.carry(source, tmp_path / "store")) == [], "it has this state"
    assert sorted(path.name for path in copy.iterdir()) == before


@pytest.mark.usefixtures("one_thread")
def test_a_state_in_use_is_not_replaced(begun, tmp_path):
    source = begun / "state"
    folder = next(source.iterdir())
    list(carrying.carry(source, tmp_path / "store"))
    for _, path in manifest.find(folder):
        path.unlink()
    with state_folders.locked(folder):
        (found,) = carrying.carry(tmp_path / "store", source)
    assert (found.name, found.step) == (folder.name, None)
    assert found.fault.startswith("another training (process ")


@pytest.mark.usefixtures("one_thread")
def test_a_carried_state_that_was_damaged_is_carried_again(begun, tmp_path):
    source, store = begun / "state", tmp_path / "store"
    (first,) = carrying.carry(source, store)
    copy = store / first.name
    (copy / manifest.state_name(first.step)).write_bytes(b"cut off")
    (copy / f"step-{first.step + 90}.json").write_text("{}")
    assert list(carrying.carry(source, store)) == [first]
    assert list(carrying.carry(source, store)) == []
    assert [step for step, _ in manifest.find(copy)] == [first.step]


@pytest.mark.usefixtures("one_thread")
def test_one_state_that_cannot_be_carried_does_not_keep_back_the_others(begun, tmp_path, monkeypatch):
    source, store = begun / "state", tmp_path / "store"
    folder = next(source.iterdir())
    other = shutil.copytree(folder, folder.with_name(f"train_phase2-{'0' * 16}"))
    with state_folders.locked(store / folder.name):
        found = {one.name: one for one in carrying.carry(source, store)}
    assert found[folder.name].fault
    assert found[other.name].step == 5
    with monkeypatch.context() as patch:
        patch.setattr(state_folders, "find", broken)
        (lost,) = carrying.carry(source, store)
    assert "cannot be read: Stale file handle" in lost.fault


def broken(root: Path) -> list:
    raise OSError(errno.ESTALE, "Stale file handle")


@pytest.mark.usefixtures("one_thread")
def test_what_vanishes_while_it_is_carried_is_passed_over(begun, tmp_path, monkeypatch):
    source, store = begun / "state", tmp_path / "store"
    folder = next(source.iterdir())
    steps = [step for step, _ in manifest.find(folder)]

    def remove_first(path: Path) -> manifest.Manifest | None:
        (folder / manifest.state_name(steps[0])).unlink(missing_ok=True)  # as its training would
        return read(path)

    read = manifest.read
    monkeypatch.setattr(manifest, "read", remove_first)
    assert list(carrying.carry(source, store)) == [Carried(folder.name, steps[1])]
    shutil.rmtree(source)
    assert list(carrying.carry(source, store)) == []


@pytest.mark.usefixtures("one_thread")
def test_a_training_whose_states_are_all_damaged_is_named(begun, tmp_path):
    source, store = begun / "state", tmp_path / "store"
    folder = next(source.iterdir())
    for path in folder.glob("step-*.pt"):
        path.write_bytes(path.read_bytes()[:-1])
    (lost,) = carrying.carry(source, store)
    assert lost.step is None
    assert lost.fault.startswith(f"{folder} has no state that is intact")


@pytest.mark.usefixtures("one_thread")
def test_the_newest_state_is_the_newest_there_and_a_training_keeps_its_own(begun, tmp_path):
    source, store = begun / "state", tmp_path / "store"
    newest = next(source.iterdir())
    for number in range(9):
        older = shutil.copytree(newest, newest.with_name(f"train_phase2-{number:016d}"))
        for path in older.iterdir():
            os.utime(path, times=(1e9 + number, 1e9 + number))
    own_training = store / f"train_phase1-{'f' * 16}"
    own_training.mkdir(parents=True)
    (own_training / "step-1.json").write_text("{}")
    os.utime(own_training / "step-1.json", times=(time.time() - 3 * 86400,) * 2)
    assert len(list(carrying.carry(source, store))) == 10
    assert [one.folder.name for one in state_folders.find(store)[:2]] == [newest.name, own_training.name]
    own = state_folders.find(store)[-1].folder
    with state_folders.locked(own):
        state_folders.tidy(store)
        assert own.exists()
    left = {one.folder for one in state_folders.find(store)}
    assert len(left) == 9, "what was carried is not too old to stay"
    assert {own, own_training, store / newest.name} <= left


def test_a_manifest_names_nothing_but_a_state(tmp_path):
    entry = {"bytes": 1, "sha256": "0"}
    named = {"step-5.pt": entry, "best-4.pt": entry}
    path = tmp_path / "step-5.json"
    for name, whole in (({}, True), ({"lock": entry}, False), ({"../x": entry}, False)):
        path.write_text(json.dumps({"step": 5, "best_step": 4, "files": named | name}))
        assert (manifest.read(path) is not None) is whole


def test_carrying_again_and_again_waits_for_the_first_state(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").touch()

    def interrupt(seconds: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(carrying, "time", SimpleNamespace(sleep=interrupt, time=time.time))
    with pytest.raises(KeyboardInterrupt):
        call("states", "--to", "store", "--every", "60")
    assert capsys.readouterr() == ("", "")


def test_it_says_why_nothing_was_carried(begun, tmp_path, monkeypatch, capsys):
    store, here = tmp_path / "store", tmp_path / "state"
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").touch()
    call("states", "--to", str(store))
    assert capsys.readouterr().out == f"{here} has no state to carry\n"
    call("states", "--from", str(begun / "state"))
    assert capsys.readouterr().out.endswith(f"carried to {here}\n")
    call("states", "--from", str(begun / "state"))
    assert capsys.readouterr().out == f"{here} has every state of {begun / 'state'} already\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--from", "nowhere"), r"^nowhere is no folder with states"),
        (("--to", "state"), r"^state is where the states are"),
        (("--to", "store", "--every", "0"), r"^--every is 0"),
    ],
)
def test_what_cannot_be_carried(arguments, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    Path("params.yaml").touch()
    with pytest.raises(UserError, match=told):
        call("states", *arguments)
