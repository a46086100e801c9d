"""How the tiny base is made, from its texts to its figures: every stage's script, by DVC, in small."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRONMENT = {**os.environ, "PATH": PATH, "GIT_CONFIG_GLOBAL": os.devnull, "PYTHONPATH": ""}
SETS = ("short", "long", "every")
STAGES = ("listen", "tell", "greet")
CLIPS, VALIDATION = 36, 8


def run(folder: Path, *command: str) -> str:
    """Run a command in a folder; what it printed."""
    result = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def small(settings: dict) -> dict:
    """The base's own parameters, made small: two voices, a few dozen clips a set, a few steps a stage."""
    settings["speech"] |= {"rate": 250, "voices": ["en-us", "en-us+f2"]}
    for name in SETS:
        settings["speech"][name] |= {"clips": CLIPS, "validation": VALIDATION}
    settings["dvae"] |= {"num_tokens": 64, "hidden_dim": 16, "codebook_dim": 16, "num_resnet_blocks": 1}
    settings["dvae"] |= {"steps": 40, "batch_size": 4, "codes_per_segment": 8, "revive_until": 30}
    settings["gpt"] = {"layers": 2, "width": 32, "heads": 2}
    for name in STAGES:
        settings[name] |= {"max_steps": 3, "batch_size": 4, "warmup_steps": 1, "eval_every": 2, "log_every": 1}
    settings["greet"]["reference_clip"] = 1.0
    return settings


@pytest.fixture(scope="module")
def remade(tmp_path_factory) -> Path:
    """`pretrain/` with small parameters and nothing made yet, in a repository of its own, after `dvc repro`."""
    root = tmp_path_factory.mktemp("repository")
    made = shutil.ignore_patterns("work", "bundle", "dvc.lock", "heard.json", "__pycache__", "tmp", "cache")
    shutil.copytree(ROOT / "pretrain", root / "pretrain", ignore=made)
    shutil.copyfile(ROOT / "LICENSE", root / "LICENSE")
    (root / "src").symlink_to(ROOT / "src")
    parameters = root / "pretrain" / "params.yaml"
    parameters.write_text(yaml.safe_dump(small(yaml.safe_load(parameters.read_text(encoding="utf-8")))))
    run(root, "git", "init", "-q")
    run(root / "pretrain", "dvc", "repro")
    return root / "pretrain"


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_every_stage_leaves_what_it_should(remade):
    names = {"gpt.safetensors", "bundle.json", "dvae.safetensors", "dvae.json", "vocab.json"}
    assert files(remade / "bundle") == names
    work = files(remade / "work")
    spoken = {f"{name}/clips/{number:05d}.flac" for name in SETS for number in range(CLIPS)}
    tables = {
        f"{name}/{file}"
        for name in SETS
        for file in ("clips/clips.csv", "clips/words.json", "codes/clips.csv", "codes/codes.safetensors")
    }
    trained = {f"{stage}.{kind}" for stage in STAGES for kind in ("json", "safetensors")}
    assert {name for name in work if not name.startswith("state-")} == spoken | tables | trained
    assert {name.split("/")[0] for name in work if name.startswith("state-")} == {f"state-{s}" for s in STAGES}


@pytest.mark.slow
def test_the_bundle_says_what_it_was_made_of(remade):
    facts = json.loads((remade / "bundle" / "bundle.json").read_text())
    provenance = facts["provenance"]
    assert facts["gpt"] == {"layers": 2, "width": 32, "heads": 2}
    assert provenance["clips"] == len(SETS) * CLIPS
    assert list(provenance["stages"]) == list(STAGES)
    assert all(math.isfinite(stage["mel_ce"]) for stage in provenance["stages"].values())


@pytest.mark.slow
def test_it_is_heard_on_sentences_and_on_phrases(remade):
    heard = json.loads((remade / "heard.json").read_text())
    assert set(heard) == {"sentences", "phrases"}
    for figures in heard.values():
        assert set(figures) == {"texts", "cer_bundle", "cer_espeak", "cut"}
        assert 0 < figures["texts"] <= VALIDATION
        assert all(math.isfinite(value) and value >= 0 for value in figures.values())
        assert figures["cut"] <= 1
