"""params.yaml: numbers stay numbers, and every fault is one sentence that names key, value and remedy."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from voicetune import params
from voicetune.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = (ROOT / "params.yaml").read_text(encoding="utf-8")


def load(tmp_path: Path, text: str) -> params.Params:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return params.load(path)


@pytest.mark.parametrize("written", ["1e-6", "1.0e-6", "1e-06", "0.000001", "1E-6"])
def test_a_learning_rate_is_a_number_however_it_is_written(tmp_path, written):
    assert load(tmp_path, re.sub(r"(?m)^lr: .*$", f"lr: {written}", DEFAULT)).train_phase2.lr == 1e-6


def test_phase_2_learns_at_the_rate_at_the_top_and_phase_1_at_its_own(tmp_path):
    loaded = load(tmp_path, re.sub(r"(?m)^lr: .*$", "lr: 7e-5", DEFAULT))
    assert loaded.train_phase2.lr == 7e-5
    assert loaded.train_phase1.lr == yaml.safe_load(DEFAULT)["train_phase1"]["lr"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("\nlr: ", "\nlrr: ", ["'lr'", "required"]),
        ("\nseed: 1", "\nseed: 1\nlrr: 1e-4", ["'lrr'", "allowed here", "lr"]),
        ("  batch_size: 12", "  batchsize: 12", ["train_phase1.batch", "batch_size"]),
        ("  held_out: 0.1 ", "  held_out: 1.5 ", ["prepare.held_out", "1.5", "less than 0.5"]),
        ("  epochs: ", "  epochs: many # ", ["train_phase1.epochs", "many", "integer"]),
        ("publish: phase2", "publish: phase3", ["publish", "phase3", "'phase1' or 'phase2'"]),
        ("      language: en\n", "      language: xx\n", ["language", "xx", "'hu'"]),
        ("      reader: espeak", "      reader: mp3", ["reader", "mp3", "'ljspeech'"]),
        ("train_phase2:", "train_phase2:\n  lr: 1e-4", ["train_phase2.lr", "top"]),
        ("seed: 1", "seed: [", ["not valid YAML"]),
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


def test_every_preset_is_a_whole_params_file():
    presets = sorted((ROOT / "presets").glob("*.yaml"))
    assert [path.name for path in presets] == ["tiny.yaml", "xtts_v2.yaml"]
    for path in presets:
        params.load(path)


def test_the_tiny_preset_is_the_default():
    assert yaml.safe_load((ROOT / "presets/tiny.yaml").read_text()) == yaml.safe_load(DEFAULT)


def test_the_origins_preset_has_the_origins_figures():
    origin = params.load(ROOT / "presets/xtts_v2.yaml")
    assert (origin.train_phase1.lr, origin.train_phase2.lr, origin.lr) == (1.5e-6, 1e-6, 1e-6)
    assert {origin.train_phase1.batch_size, origin.train_phase2.batch_size} == {3}
    assert {origin.train_phase1.epochs, origin.train_phase2.epochs} == {30}
    assert origin.train_phase2.target_mel_ce == 2.5
    assert origin.prepare.sources[0].language == "hu"


@pytest.mark.parametrize("script", ["prepare.py", "train.py train_phase1", "evaluate.py base", "compare.py"])
def test_a_stage_with_a_wrong_key_ends_before_any_work(tmp_path, script):
    (tmp_path / "params.yaml").write_text(DEFAULT.replace("\nseed: 1", "\nseed: 1\nlrr: 1e-4", 1), encoding="utf-8")
    name, *arguments = script.split()
    result = subprocess.run(
        [sys.executable, ROOT / "src" / name, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert "lrr" in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
