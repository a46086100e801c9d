"""Make a very small base with the scripts and the DVC pipeline of pretrain/, from texts to figures."""

import ast
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[1]
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRONMENT = {**os.environ, "PATH": PATH, "GIT_CONFIG_GLOBAL": os.devnull, "PYTHONPATH": ""}
CLIPS, EVERY = 48, 4


def run(folder: Path, *command: str) -> str:
    """Run a command in a folder, and return what it printed."""
    result = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def small(settings: dict) -> dict:
    """Make the parameters of pretrain/ small: two voices of espeak-ng, a few dozen clips, a few steps a stage."""
    settings["speech"] |= {
        "clips": CLIPS,
        "validation_every": EVERY,
        "voices": {"espeak": 2},
        "shares": {"espeak": 1.0},
        "copies": {"espeak": 1},
    }
    settings["dvae"] |= {"num_tokens": 64, "hidden_dim": 16, "codebook_dim": 16, "num_resnet_blocks": 1}
    settings["dvae"] |= {"widths": [16, 12, 8], "blocks": [1, 1, 1], "steps": 40, "batch_size": 4}
    settings["dvae"] |= {"codes_per_segment": 8, "revive_until": 30}
    settings["denoise"] |= {"clips": 20, "steps": 20, "batch_size": 4, "codes_per_segment": 8}
    settings["gpt"] |= {"sizes": {"layers": 2, "width": 32, "heads": 2}, "reference_clip": 0.3}
    settings["gpt"] |= {"max_steps": 3, "batch_size": 4, "warmup_steps": 1, "eval_every": 2, "log_every": 1}
    return settings


@pytest.fixture(scope="module")
def remade(tmp_path_factory) -> Path:
    """Copy pretrain/ without its results into a new repository, make its parameters small, and run `dvc repro`."""
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
def test_every_stage_writes_exactly_its_files(remade):
    names = {"gpt.safetensors", "bundle.json", "dvae.safetensors", "dvae.json", "vocab.json"}
    assert files(remade / "bundle") == names
    work = files(remade / "work")
    said = {f"000_{number:03d}" for number in range(CLIPS)}
    copied = {f"000_{number:03d}v1" for number in range(CLIPS)}
    measured = {f"000_{number:03d}v1" for number in range(EVERY - 1, CLIPS, EVERY)}
    spoken = {f"speech/{name}.flac" for name in said | copied} | {
        f"clips/{name}.flac" for name in (said | copied) - measured
    }
    tables = {"speech/000.json", "clips/clips.csv", "clips/words.json", "clips/sounds.json"}
    tables |= {"codes/clips.csv", "codes/codes.safetensors"}
    tables |= {"dvae/dvae.safetensors", "bundle/vocab.json", "bundle/dvae.safetensors", "bundle/dvae.json"}
    assert {name for name in work if not name.startswith("state-")} == spoken | tables | {"gpt.json", "gpt.safetensors"}
    (state,) = {name.split("/")[0] for name in work if name.startswith("state-")}
    assert state.startswith("state-gpt-")


@pytest.mark.slow
def test_denoise_changes_the_encoder_and_nothing_else(remade):
    before = load_file(remade / "work" / "dvae" / "dvae.safetensors")
    after = load_file(remade / "work" / "bundle" / "dvae.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("encoder.") for name in changed)


@pytest.mark.slow
def test_the_bundle_records_its_sizes_and_provenance(remade):
    facts = json.loads((remade / "bundle" / "bundle.json").read_text())
    assert facts["gpt"] == {"layers": 2, "width": 32, "heads": 2}
    assert facts["provenance"]["clips"] == 2 * CLIPS - CLIPS // EVERY
    assert math.isfinite(facts["provenance"]["gpt"]["mel_ce"])


@pytest.mark.slow
def test_the_base_is_measured_on_sentences_and_phrases(remade):
    heard = json.loads((remade / "heard.json").read_text())
    assert set(heard) == {"sentences", "phrases"}
    for figures in heard.values():
        assert set(figures) == {"texts", "cer_bundle", "cer_speech", "cut"}
        assert 0 < figures["texts"] <= CLIPS // EVERY
        assert all(math.isfinite(value) and value >= 0 for value in figures.values())
        assert figures["cut"] <= 1


@pytest.mark.slow
def test_finished_parts_of_the_speech_are_not_spoken_again(remade):
    part = remade / "work" / "speech" / "000_000.flac"
    part.write_bytes(b"kept")
    run(remade, sys.executable, "speech.py")
    assert (remade / "work" / "clips" / "000_000.flac").read_bytes() == b"kept"


def in_pretrain(code: str) -> str:
    """Run a line of Python that can import the scripts of pretrain/, and return what it prints."""
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'pretrain'}"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_generated_texts_are_whole_sentences_and_depend_only_on_the_seed():
    code = (
        "import numpy, texts; shares = {'short': 0.4, 'sentence': 0.5, 'quiz': 0.1}\n"
        "print([[t.draw() for _ in range(300)] for t in"
        " (texts.Texts(shares, numpy.random.default_rng(3)) for _ in range(2))])"
    )
    first, again = ast.literal_eval(in_pretrain(code))
    assert first == again
    assert len(set(first)) > 200
    for text in first:
        assert not set("{}|_") & set(text)
        assert text[0].isupper()
        assert text[-1] in ".!?"
        assert not re.search(r"\b[Aa] (apple|orange|idea|old|important)\b", text)
    assert any(len(text.split()) == 1 for text in first)


def test_a_text_becomes_phonemes_with_the_position_of_each_word():
    found = ast.literal_eval(in_pretrain("import phonemes; print(phonemes.stretches('Yes, the rain of the day!'))"))
    assert found == [(0, "jˈɛs,"), (5, "ðə"), (9, "ɹˈAn"), (14, "ʌvðə"), (21, "dˈA!")]


def test_faster_sound_is_shorter_and_has_earlier_times():
    code = (
        "import numpy, voices; t = numpy.arange(24000) / 24000\n"
        "tone = 0.3 * numpy.sin(2 * numpy.pi * 200 * t)\n"
        "a, b = (voices.cleaned(tone, 24000, f, [[0, 0.0], [4, 0.5]], [[7, 0.5]]) for f in (1, 1.25))\n"
        "print([a.samples.size, b.samples.size, a.words, b.words, b.sounds])"
    )
    plain, faster, words, sooner, sounds = ast.literal_eval(in_pretrain(code))
    assert plain == pytest.approx(22050, abs=300)
    assert faster == pytest.approx(22050 / 1.25, abs=300)
    assert words[1][1] == pytest.approx(0.5, abs=0.02)
    assert sooner[1][1] == pytest.approx(0.4, abs=0.02)
    assert sounds[0][1] == pytest.approx(0.4, abs=0.02)


def test_each_frame_has_the_phoneme_spoken_at_its_time():
    code = "import dvae; print([dvae.symbols_at(s, 10).tolist() for s in ([[5, -0.01], [6, 0.03], [7, 0.06]], None)])"
    known, unknown = ast.literal_eval(in_pretrain(code))
    assert known == [5, 5, 5, 6, 6, 6, 7, 7, 7, 7]  # a frame is 11.6 ms
    assert unknown == [-100] * 10
