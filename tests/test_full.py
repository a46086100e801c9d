"""Run the whole pipeline at XTTS v2's true size on the CPU, from a generated base (see full_size.py).

`make test-full` runs this. It takes minutes, about 15 GB of memory and 30 GB of disk.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import full_size
import numpy as np
import pytest
import soundfile
import torch
import yaml
from test_pipeline import ENVIRONMENT, ROOT, clone, run
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models.xtts import Xtts

from voicetune import files
from voicetune.params.decoding import Decoding
from voicetune.speech.voice import Line, Voice
from voicetune.training import devices
from voicetune.xtts import folder

pytestmark = pytest.mark.full
MEMORY_GIB = 20
LINES = 10
TEXT = "That is the correct answer."
COMPARED = 12  # the first codes are compared with the stock client's
GREEDY = Decoding(temperature=0, top_k=50, top_p=0.8, repetition_penalty=2.0)


def preset() -> dict:
    return yaml.safe_load((ROOT / "presets/xtts_v2.yaml").read_text(encoding="utf-8"))


def parameters(base: Path) -> str:
    """presets/xtts_v2.yaml for ten English lines and a CPU, with two steps a phase and one spoken sentence."""
    settings = preset()
    source = {"name": "few", "reader": "espeak", "path": "data/scripts/questions.txt", "speaker": "someone"}
    settings |= {"base": str(base), "device": "cpu"}
    settings["prepare"] |= {
        "sources": [{**source, "language": "en", "voice": "en-us+m1", "rate": 175, "pitch": 50}],
        "validation": 0.2,
        "test": 0.2,
    }
    precision = {} if devices.has_fast_bfloat16() else {"precision": "32-true"}  # emulated, a step takes many minutes
    for phase in ("train_phase1", "train_phase2"):
        settings[phase] |= {"epochs": 1, "max_steps": 2, "batch_size": 2, "eval_every": 2, "log_every": 1}
        settings[phase] |= {"target_mel_ce": None, **precision}
    settings |= {"asr": "tiny.en", "speak": {"sentences": 1, "takes": 3}, "compare": {"bootstrap": 100}}
    settings["synthesize"] |= {"language": "en", "lines": [TEXT]}
    return yaml.safe_dump(settings, sort_keys=False)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    place = tmp_path_factory.mktemp("full")
    assert full_size.make(place / "xtts_v2") == full_size.PARAMETERS
    repository = clone(place / "repository", parameters(place / "xtts_v2"))
    script = repository / "data/scripts/questions.txt"
    script.write_text("".join(script.read_text(encoding="utf-8").splitlines(keepends=True)[:LINES]), encoding="utf-8")
    run(repository, "dvc", "config", "cache.type", "hardlink,copy")  # three models of 2 GB are stored only once
    run(repository, "dvc", "repro")
    yield repository
    shutil.rmtree(place)  # pytest would keep the folder


@pytest.fixture(scope="module")
def exported(repository) -> Path:
    out = repository / "exported"
    env = {**ENVIRONMENT, "PYTHONPATH": str(repository / "src")}
    command = [sys.executable, "-m", "voicetune", "export", str(out)]
    subprocess.run(command, cwd=repository, env=env, check=True, timeout=2400)
    return out


@pytest.fixture(scope="module")
def client(exported) -> Xtts:
    """The stock client with nothing but the exported folder. A bias keeps it from STOP for COMPARED codes."""
    config = XttsConfig()
    config.load_json(str(exported / "config.json"))
    stock = Xtts(config)
    stock.load_checkpoint(config, checkpoint_dir=str(exported), strict=True)
    stock.gpt.max_gen_mel_tokens = COMPARED
    with torch.no_grad():
        stock.gpt.mel_head.bias[stock.gpt.stop_audio_token] = -100.0
    return stock


def test_every_stage_ran_and_the_phases_changed_the_weights(repository):
    figures = {m: json.loads((repository / f"metrics/evaluate/{m}.json").read_text()) for m in ("base", "phase2")}
    assert all(np.isfinite(f["mel_ce"]) and np.isfinite(f["secs"]) for f in figures.values())
    assert figures["base"]["mel_ce"] != figures["phase2"]["mel_ce"]
    voice = json.loads((repository / "models/voice/voicetune.json").read_text())
    assert (voice["published"], voice["language"], voice["facts"]["steps"]) == ("phase2", "en", 2)
    assert voice["decoding"] == preset()["decoding"]
    second, published = (files.sha256(repository / f"models/{m}/best_model.pth") for m in ("phase2", "voice"))
    assert second == published
    assert not any((repository / "state").glob("*/step-*"))


def test_the_largest_process_needs_less_than_20_gib(repository):
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"largest process: {peak:.1f} GiB")
    assert peak < MEMORY_GIB


def test_every_take_stops_by_itself(repository):
    """XTTS v2 stops by itself. The generated model must do so too, or these tests would not cover lines that end."""
    for model in ("base", "phase1", "phase2"):
        rows = list(csv.DictReader((repository / f"data/spoken/{model}/takes.csv").read_text().splitlines()))
        assert [row["stopped"] for row in rows] == ["1"] * 3
        for row in rows:
            assert soundfile.info(repository / f"data/spoken/{model}" / row["file"]).duration < 4


def test_the_sample_is_spoken_by_the_hifigan(repository):
    row = json.loads((repository / "data/samples/manifest.json").read_text())[0]
    sound, rate = soundfile.read(repository / "data/samples" / row["file"])
    assert rate == 24_000
    assert len(sound) / rate == pytest.approx(row["seconds"], abs=1e-3)


def test_the_export_has_the_stock_clients_files_the_licence_and_a_card(exported):
    assert {path.name for path in exported.iterdir()} == {
        *("config.json", "model.pth", "vocab.json", "dvae.pth", "mel_stats.pth", "speakers_xtts.pth"),
        *("LICENSE.txt", "README.md"),
        "voicetune.json",
    }
    assert "coqui.ai/cpml" in (exported / "LICENSE.txt").read_text()
    assert "needed from nobody: a speech synthesiser speaks" in (exported / "README.md").read_text()


def test_codes_and_sound_equal_the_stock_clients(exported, client):
    voice = Voice(exported)
    voice.model.xtts.gpt.max_gen_mel_tokens = COMPARED
    with torch.no_grad():
        voice.model.xtts.gpt.mel_head.bias[voice.model.xtts.gpt.stop_audio_token] = -100.0
    speaker, line = voice.speaker(), Line(TEXT, "en")
    saved = client.speaker_manager.speakers["someone"]
    assert torch.equal(saved["gpt_cond_latent"], speaker["gpt_cond_latent"])
    theirs = client.inference(
        TEXT, "en", saved["gpt_cond_latent"], saved["speaker_embedding"], do_sample=False, repetition_penalty=2.0
    )
    codes = voice.codes([line], [speaker], GREEDY, 1)[0]
    assert len(codes) == COMPARED
    ours = voice.sound(codes, line, speaker)
    assert ours.shape == theirs["wav"].shape
    assert float(np.abs(ours - theirs["wav"]).max()) <= 1e-4


def test_the_original_base_is_unchanged(repository):
    """The stock loader would rewrite the checkpoint of the original base. It need not rewrite that of models/base."""
    assert os.stat(repository.parent / "xtts_v2/model.pth").st_size > 1.8e9
    assert set(folder.load(repository.parent / "xtts_v2/model.pth")) == {"config", "model"}
    assert set(folder.load(repository / "models/base/model.pth")) == {"model"}


def test_a_voice_moves_without_what_it_shares_with_the_base(repository):
    """After the base was pushed, a voice moves its weights and a few small files: the rest is in the remote already."""
    store = repository.parent / "store"
    run(repository, "dvc", "remote", "add", "--default", "store", str(store))
    run(repository, "dvc", "push", "models/base")
    before = _bytes(store)
    run(repository, "dvc", "push", "models/voice")
    moved = _bytes(store) - before
    whole, weights = _bytes(repository / "models/voice"), (repository / "models/voice/best_model.pth").stat().st_size
    gpt = sum(
        value.nbytes for name, value in folder.load(repository / "models/voice/best_model.pth")["model"].items()
        if name.startswith("gpt.")
    )  # fmt: skip
    print(f"voice: {whole / 1e6:.0f} MB; moved: {moved / 1e6:.0f} MB; weights {weights / 1e6:.0f}, GPT {gpt / 1e6:.0f}")
    assert weights <= moved < weights + 20e6 < whole
    shutil.rmtree(store)


def _bytes(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
