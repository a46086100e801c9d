"""params.yaml: numbers stay numbers, and every fault is one sentence that names key, value and remedy."""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_closure import STAGES, read_by_phase

from voicetune import entry
from voicetune.errors import UserError
from voicetune.params import choosing, reading, training, whole

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = (ROOT / "params.yaml").read_text(encoding="utf-8")
FILES = ("params.yaml", "presets/xtts_v2.yaml")


def load(tmp_path: Path, text: str) -> whole.Params:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return whole.load(path)


@pytest.mark.parametrize("written", ["1e-6", "1.0e-6", "1e-06", "0.000001", "1E-6"])
def test_every_notation_of_a_learning_rate_is_read_as_a_number(tmp_path, written):
    assert load(tmp_path, re.sub(r"(?m)^lr: .*$", f"lr: {written}", DEFAULT)).train_phase2.lr == 1e-6


def test_phase_2_uses_the_learning_rate_at_the_top_and_phase_1_its_own(tmp_path):
    loaded = load(tmp_path, re.sub(r"(?m)^lr: .*$", "lr: 7e-5", DEFAULT))
    assert loaded.train_phase2.lr == 7e-5
    assert loaded.train_phase1.lr == yaml.safe_load(DEFAULT)["train_phase1"]["lr"]
    for name in training.PHASES:
        assert training.load(name, tmp_path / "params.yaml").phase == getattr(loaded, name)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("\nlr: ", "\nlrr: ", ["there is no key 'lrr'", "write it `lr`"]),
        ("\nlr: ", "\n# lr: ", ["'lr'", "is missing", "add the line `lr: 2.0e-4`"]),
        ("\nseed: 1", "\nseed: 1\nlrr: 1e-4", ["'lrr'", "allowed here", "lr"]),
        ("  dropout: 0.0", "  drop: 0.0\n  dropout: 0.0", ["train_phase1.drop'", "allowed here", "dropout"]),
        (
            "  batch_size: 12",
            "  batchsize: 12",
            ["'train_phase1.batchsize'", "write it `batch_size` (under `train_phase1:`)"],
        ),
        ("  validation: 0.1 ", "  validation: 1.5 ", ["prepare.validation", "1.5", "less than 0.5"]),
        ("  test: 0.1 ", "  test: 1.5 ", ["prepare.test", "1.5", "less than 0.5"]),
        ("  test: 0.1 ", "  test: 0 ", ["prepare.test", "0", "greater than 0"]),
        ("  epochs: ", "  epochs: many # ", ["train_phase1.epochs", "many", "integer"]),
        ("publish: phase2", "publish: phase3", ["publish", "phase3", "'phase1' or 'phase2'"]),
        ("    language: en\n    consent", "    language: English\n    consent", ["language", "English", "en or ro"]),
        ("\n    reader: ljspeech", "\n    reader: mp3", ["prepare.sources.0.reader", "mp3", "ljspeech, espeak"]),
        ("data/raw/host", "lists/host", ["'host'", "'lists/host'", "data/raw/<name>"]),
        ("data/raw/host", "data/raw/../../host", ["'host'", "DVC would not see"]),
        ("train_phase2:", "train_phase2:\n  lr: 1e-4", ["train_phase2.lr", "top"]),
        ("seed: 1", "seed: [", ["not valid YAML"]),
        (
            "snr: {leave_out: 10, warn: 25}",
            "snr: [1, 2]",
            ["'quality.snr' is [1, 2], but should be: {leave_out: ..., warn: ...}."],
        ),
        (
            "snr: {leave_out: 10, warn: 25}",
            "snr: 10",
            ["'quality.snr' is 10, but should be: {leave_out: ..., warn: ...}."],
        ),
        (
            "sources:\n",
            "sources:\n  - mine\n",
            ["'prepare.sources.0' is 'mine', but should be: a section, as in presets/"],
        ),
        ("speak:\n", "speak: 8\nunused:\n", ["'speak' is 8, but should be: {sentences: ..., takes: ...}."]),
        (
            "prepare:\n",
            "prepare: 4\nunused:\n",
            ["'prepare' is 4, but should be: a section, as in presets/."],
        ),
    ],
)
def test_a_fault_is_one_sentence(tmp_path, old, new, expected):
    with pytest.raises(UserError) as fault:
        load(tmp_path, DEFAULT.replace(old, new, 1))
    sentence = str(fault.value)
    assert "params.yaml" in sentence
    assert "\n" not in sentence
    for part in expected:
        assert part in sentence


@pytest.mark.parametrize("name", FILES)
def test_a_number_of_400_digits_is_refused_wherever_a_number_may_stand(tmp_path, name):
    """A float cannot hold it, so it would end in an OverflowError somewhere in a run."""
    data = reading.read_yaml(ROOT / name)
    numbers = [at for at in leaves(data) if below(data, at) is None or type(below(data, at)) in (int, float)]
    assert ("train_phase1", "warmup_steps") in numbers
    assert ("train_phase1", "max_steps") in numbers
    for at in numbers:
        changed = copy.deepcopy(data)
        below(changed, at[:-1])[at[-1]] = 10**399
        told = fault_of(whole.load, written(tmp_path, changed))
        assert dotted(at) in told, f"{dotted(at)}: {told}"
        assert len(told) < 400


def test_validation_and_test_must_leave_a_fifth_of_the_clips(tmp_path):
    both = re.sub(r"(?m)^  (validation|test): 0.1 ", r"  \1: 0.45 ", DEFAULT)
    with pytest.raises(UserError, match="validation and test must leave a fifth of the clips to train on"):
        load(tmp_path, both)


# Every key must be in the file. The error for a missing key gives the line to add.


def leaves(value: Any, at: tuple = ()) -> Iterator[tuple]:
    """Yield the path to each value of a parameter file. A list is one value, unless it holds sections."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in parts:
        if isinstance(one, dict) or (isinstance(one, list) and isinstance(one[0], dict)):
            yield from leaves(one, (*at, key))
        else:
            yield (*at, key)


def below(data: Any, at: tuple) -> Any:
    for key in at:
        data = data[key]
    return data


def without(data: dict, at: tuple) -> dict:
    """Return a copy without one key."""
    rest = copy.deepcopy(data)
    del below(rest, at[:-1])[at[-1]]
    return rest


def written(folder: Path, data: dict) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def dotted(at: tuple) -> str:
    return ".".join(map(str, at))


def fault_of(read, *arguments) -> str:
    """Return the error sentence of the call, or an empty text if it raises none."""
    try:
        read(*arguments)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", FILES)
def test_the_error_for_a_missing_key_gives_a_line_that_mends_it(tmp_path, name):
    data = reading.read_yaml(ROOT / name)
    assert len(list(leaves(data))) > 85
    for at in (at for at in leaves(data) if at[-1] != "consent"):  # which is optional
        rest = without(data, at)
        path = written(tmp_path, rest)
        told = fault_of(whole.load, path)
        found = re.fullmatch(
            rf"{re.escape(str(path))}: the key '(\S+)' is missing; add the line `(.+)` (?:under `(\S+):`|at the top)\.",
            told,
        )
        assert found, f"{dotted(at)}: {told}"
        key, line, section = found.groups()
        assert (key, section) == (dotted(at), dotted(at[:-1]) or None)
        added = yaml.safe_load(line)
        assert list(added) == [at[-1]], told
        below(rest, at[:-1]).update(added)
        assert fault_of(whole.load, written(tmp_path, rest)) == "", told


@pytest.mark.parametrize("at", [("prepare", "sources"), ("prepare",), ("decoding",), ("train_phase1",), ("compare",)])
def test_the_error_for_a_missing_section_names_the_preset(tmp_path, at):
    told = fault_of(whole.load, written(tmp_path, without(yaml.safe_load(DEFAULT), at)))
    assert dotted(at) in told
    assert re.search(r"from presets/|stands in presets/", told), told
    assert "null" not in told


def test_an_emptied_section_is_reported_as_a_missing_key(tmp_path):
    emptied = DEFAULT.replace("  unknown_characters: fail", "  # unknown_characters: fail")
    assert yaml.safe_load(emptied)["encode"] is None
    with pytest.raises(UserError, match=r"'encode.unknown_characters' is missing; add the line `unknown_characters: "):
        load(tmp_path, emptied)


def test_a_stage_reports_only_missing_keys_that_it_uses(tmp_path, monkeypatch):
    """A stage gives the same sentence as `voicetune check`, but ignores a missing key that it does not use."""
    data, path = yaml.safe_load(DEFAULT), tmp_path / "params.yaml"
    reads = {name: set(model.model_fields) for name, model in STAGES.items()}
    reads |= {name: read_by_phase(name) for name in training.PHASES}
    for at in leaves(data):
        rest = without(data, at)
        wanted = fault_of(whole.load, written(tmp_path, rest))
        monkeypatch.setattr(reading, "read_yaml", lambda _, rest=rest: rest)
        told = {name: fault_of(reading.load, model, path) for name, model in STAGES.items()}
        monkeypatch.undo()
        told |= {name: fault_of(training.of, name, rest, path) for name in training.PHASES}
        for one, said in told.items():
            used = at[0] in reads[one] and (one != "choose" or at[0] not in training.PHASES or at[1] == "select")
            assert said == (wanted if used else ""), f"{one} without {dotted(at)}"


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_exactly_the_keys_that_are_read(name):
    """`dvc exp run -S` can only set keys that are in the file. It must hold every key, and no other."""
    read = whole.load(ROOT / name).model_dump(mode="json")
    del read["train_phase2"]["lr"]
    written = reading.read_yaml(ROOT / name)
    for source, given in zip(read["prepare"]["sources"], written["prepare"]["sources"], strict=True):
        for optional in {"only_speakers", "consent"} - set(given):
            del source[optional]
    assert set(leaves(written)) == set(leaves(read))


def test_the_code_has_no_default_for_any_key():
    def all_below(model: type[reading.Section]) -> Iterator[type[reading.Section]]:
        for lower in model.__subclasses__():
            yield lower
            yield from all_below(lower)

    sections = set(all_below(reading.Section))
    assert {whole.Params, training.Phase, training.TrainStage, choosing.ChooseStage} <= sections
    optional = [
        f"{section.__name__}.{name}"
        for section in sections
        for name, field in section.model_fields.items()
        if not field.is_required() and name not in ("only_speakers", "keep_speaker", "consent")  # of sources
    ]
    assert optional == []


@pytest.mark.parametrize("name", FILES)
def test_every_key_can_be_set_by_dvc(tmp_path, name):
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    def shown(value: Any) -> str:
        return f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / name).read_bytes())
    before, data = whole.load(path), reading.read_yaml(path)
    apply_overrides(path, [f"{dotted(at)}={shown(below(data, at))}" for at in leaves(data)])
    assert whole.load(path) == before
    with pytest.raises(DvcException, match="Invalid `--set-param`"):
        apply_overrides(path, ["nowhere=1"])


ESPEAK = {"voice": "hu", "rate": 150, "pitch": 50}


def test_each_reader_accepts_only_its_own_keys(tmp_path):
    data = yaml.safe_load(DEFAULT)
    recorded = {"name": "a", "reader": "ljspeech", "path": "data/raw/a", "speaker": "a", "language": "en"}

    def with_source(source: dict) -> whole.Params:
        return load(tmp_path, yaml.safe_dump({**data, "prepare": {**data["prepare"], "sources": [source]}}))

    assert set(with_source(recorded).prepare.sources[0].model_dump(exclude_none=True)) == set(recorded)
    spoken = recorded | {"reader": "espeak"} | ESPEAK
    assert with_source(spoken).prepare.sources[0].model_dump(exclude_none=True) == spoken
    for key, value in ESPEAK.items():
        with pytest.raises(UserError, match=rf"no key 'prepare.sources.0.{key}'; allowed here are consent, language"):
            with_source({**recorded, key: value})
        with pytest.raises(UserError, match=rf"'prepare.sources.0.{key}' is missing; add the line `{key}: "):
            with_source({name: given for name, given in spoken.items() if name != key})
    with pytest.raises(UserError, match=r"no key 'prepare.sources.0.speed'; allowed here are .*pitch.*rate.*voice"):
        with_source({**spoken, "speed": 1})


@pytest.mark.parametrize(("first", "second", "fits"), [
    (2.5, 2.5, False), (2.4, 2.5, False), (2.6, 2.5, True), (2.5, None, True), (None, 2.5, True),
])  # fmt: skip
def test_the_target_of_phase_1_must_be_above_that_of_phase_2(tmp_path, first, second, fits):
    data = yaml.safe_load(DEFAULT)
    data["train_phase1"]["target_mel_ce"], data["train_phase2"]["target_mel_ce"] = first, second
    told = fault_of(whole.load, written(tmp_path, data))
    assert (told == "") == fits
    if not fits:
        assert f"train_phase1.target_mel_ce ({first:g}) must be above train_phase2.target_mel_ce (2.5)" in told
        assert "\n" not in told


# The preset


def test_every_preset_is_a_valid_params_file():
    presets = sorted((ROOT / "presets").glob("*.yaml"))
    assert [path.name for path in presets] == ["xtts_v2.yaml"]
    for path in presets:
        whole.load(path)


def test_the_xtts_v2_preset_has_the_settings_of_the_original_run():
    origin = whole.load(ROOT / "presets/xtts_v2.yaml")
    assert (origin.train_phase1.lr, origin.train_phase2.lr, origin.lr) == (1.5e-6, 1e-6, 1e-6)
    assert {origin.train_phase1.batch_size, origin.train_phase2.batch_size} == {3}
    assert {origin.train_phase1.epochs, origin.train_phase2.epochs} == {30}
    assert (origin.train_phase1.target_mel_ce, origin.train_phase2.target_mel_ce) == (None, 2.5)
    assert origin.prepare.sources[0].language == "hu"


# The stages


def call(folder: Path, *command: str | Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


WRONG = {
    "prepare.py": ("  min_seconds:", "  min_second:"),
    "encode.py": ("  unknown_characters:", "  unknown:"),
    "choose.py": ("choose:                 # for", "choose:\n  voices: 2   # for"),
    "train.py train_phase1": ("  batch_size:", "  batchsize:"),
    "publish.py": ("  top_k:", "  topk:"),
    "ceiling.py": ("  takes:", "  take:"),
    "speak.py base": ("  takes:", "  take:"),
    "evaluate.py base": ("  measures: ", "  measure: "),
    "compare.py": ("  bootstrap:", "  bootstraps:"),
    "synthesize.py": ("  speed:", "  pace:"),
}


@pytest.mark.parametrize("script", WRONG)
def test_a_stage_with_a_wrong_key_ends_before_any_work(tmp_path, script):
    old, new = WRONG[script]
    assert old in DEFAULT
    (tmp_path / "params.yaml").write_text(DEFAULT.replace(old, new, 1), encoding="utf-8")
    name, *arguments = script.split()
    result = call(tmp_path, ROOT / "src" / name, *arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("error: params.yaml")
    assert (old if "is missing" in result.stderr else new).split(":")[0].strip() in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_the_check_before_a_run_reports_an_unknown_key_at_the_top(tmp_path):
    (tmp_path / "params.yaml").write_text(DEFAULT.replace("\nseed: 1", "\nseed: 1\nlrr: 1e-4", 1), encoding="utf-8")
    result = call(tmp_path, "-m", "voicetune", "check")
    assert result.returncode == 1
    assert "lrr" in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_every_stage_refuses_a_wrong_key_of_another_stage(tmp_path, monkeypatch):
    """No stage runs before the whole file is right, not even with a plain `dvc repro`."""
    (tmp_path / "params.yaml").write_text(DEFAULT.replace("  dropout: 0.0", "  drop: 0.0\n  dropout: 0.0", 1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["src/prepare.py"])
    with pytest.raises(SystemExit):
        entry.run(lambda: pytest.fail("the stage ran"))


def test_dvc_changes_only_the_line_of_the_key_that_it_sets(tmp_path):
    """The files have DVC's own layout, so that `dvc exp run -S` changes only the line of the key."""
    from dvc.fs import localfs
    from dvc.utils.serialize import modify_yaml

    for name in FILES:
        path = tmp_path / "params.yaml"
        path.write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
        with modify_yaml(str(path), fs=localfs) as data:
            data["seed"] = 2
        before = (ROOT / name).read_text(encoding="utf-8").splitlines()
        assert [line for line in path.read_text(encoding="utf-8").splitlines() if line not in before] == ["seed: 2"]


def test_a_phase_without_its_name_is_one_sentence(tmp_path):
    done = subprocess.run([sys.executable, str(ROOT / "src/train.py")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: which phase? ")
    assert done.stderr.count("\n") == 1
