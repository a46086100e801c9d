"""Bases that other programs wrote. The files come from the stock trainer's own classes, with a small model."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import BUNDLE
from trainer.io import save_best_model, save_checkpoint
from TTS.tts.configs.xtts_config import XttsAudioConfig, XttsConfig
from TTS.tts.layers.xtts.trainer import gpt_trainer
from TTS.tts.layers.xtts.trainer.gpt_trainer import GPTArgs, GPTTrainer, GPTTrainerConfig
from TTS.tts.models import xtts as stock_module
from TTS.tts.models.xtts import Xtts

from voicetune.errors import UserError
from voicetune.files import sha256
from voicetune.model import Gift
from voicetune.xtts import codec, export, folder, origins

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(bundle_base, tmp_path_factory) -> Path:
    """A training folder that GPTTrainer and its Trainer wrote, stopped after step 1901.

    Its DVAE has the bundle's size, because the published size in the stock trainer's code is replaced. The files of the
    base are where the stock recipe puts them.
    """
    top = tmp_path_factory.mktemp("training")
    files = top / "XTTS_v2.0_original_model_files"
    shutil.copytree(bundle_base, files)
    known = folder.open_config(bundle_base).model_args.to_dict()
    args = GPTArgs(
        **known
        | {
            "tokenizer_file": str(files / "vocab.json"),
            "mel_norm_file": str(files / "mel_stats.pth"),
            "dvae_checkpoint": str(files / "dvae.pth"),
            "xtts_checkpoint": str(files / "model.pth"),
        }
    )
    config = GPTTrainerConfig(model_args=args, audio=XttsAudioConfig(sample_rate=22050, output_sample_rate=24000))
    sizes = codec.sizes_of(folder.load_weights(bundle_base / "dvae.pth"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpt_trainer, "DiscreteVAE", lambda **_: codec.build_dvae(**sizes))
        model = GPTTrainer(config)
    with torch.no_grad():  # stands for a training
        model.xtts.gpt.mel_head.bias += 1.0
    out = top / "GPT_XTTS_FT-November-23-2026_03+00AM-0000000"
    out.mkdir()
    config.save_json(str(out / "config.json"))
    optimizer = [torch.optim.AdamW(model.parameters(), lr=5e-6)]
    common = {"config": config, "model": model, "epoch": 3, "optimizer": optimizer}
    save_checkpoint(output_folder=str(out), current_step=1500, **common)
    save_best_model(1.0, 2.0, out_path=str(out), current_step=1901, **common)
    return out


def unfold(place: Path, out: Path) -> Path:
    origins.unfold(str(place), out, BUNDLE)
    return out


def check(out: Path, bundle_base: Path, trained: bool = True) -> None:
    """Check that `out` is the trained model, and that the stock client loads it without rewriting it."""
    before = sha256(out / "model.pth")
    config = XttsConfig()
    config.load_json(str(out / "config.json"))
    client = Xtts(config)
    client.load_checkpoint(config, checkpoint_dir=str(out), strict=True)
    assert sha256(out / "model.pth") == before
    base = folder.load_weights(bundle_base / "model.pth")
    assert torch.equal(client.gpt.mel_head.bias, base["gpt.mel_head.bias"] + (1.0 if trained else 0.0))
    assert torch.equal(client.gpt.mel_head.weight, base["gpt.mel_head.weight"])
    dvae, stats = folder.open_dvae(out)
    expected, expected_stats = folder.open_dvae(bundle_base)
    assert torch.equal(dvae.codebook.embed, expected.codebook.embed)
    assert torch.equal(stats, expected_stats)

    assert "original_model_files" not in (out / "config.json").read_text()  # no path of the other machine


@pytest.mark.slow
def test_a_training_folder_of_the_stock_trainer_is_a_base(run, bundle_base, tmp_path):
    assert sorted(p.name for p in run.iterdir()) == [
        *("best_model.pth", "best_model_1901.pth", "checkpoint_1500.pth", "config.json"),
    ]
    out = unfold(run, tmp_path / "out")
    check(out, bundle_base)
    export.export(out, tmp_path / "given", Gift())
    check(tmp_path / "given", bundle_base)


@pytest.mark.parametrize("name", ["best_model_1901.pth", "checkpoint_1500.pth"])
def test_one_checkpoint_file_is_a_base(run, bundle_base, tmp_path, name):
    check(unfold(run / name, tmp_path / "out"), bundle_base)


def test_without_best_model_pth_the_best_checkpoint_of_the_highest_step_is_used(run, tmp_path):
    moved = tmp_path / "run"
    moved.mkdir()
    shutil.copyfile(run / "config.json", moved / "config.json")
    state = torch.load(run / "best_model.pth", weights_only=True)
    for step in (99, 1000):
        torch.save({"model": state["model"] | {"xtts.gpt.mel_head.bias": torch.full((1026,), float(step))}},
                   moved / f"best_model_{step}.pth")  # fmt: skip
    shutil.copyfile(run / "checkpoint_1500.pth", moved / "checkpoint_1500.pth")
    out = unfold(moved, tmp_path / "out")
    assert folder.load_weights(out / "model.pth")["gpt.mel_head.bias"][0] == 1000.0


def test_a_checkpoint_without_its_training_files_needs_only_vocab_json(run, bundle_base, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copyfile(run / "best_model_1901.pth", alone / "best_model_1901.pth")
    settings = json.loads((run / "config.json").read_text())
    for name in ("tokenizer_file", "mel_norm_file", "dvae_checkpoint"):
        settings["model_args"][name] = f"/gone/training/{name}"
    (alone / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"has no vocab\.json beside it"):
        unfold(alone, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    shutil.copyfile(bundle_base / "vocab.json", alone / "vocab.json")
    check(unfold(alone, tmp_path / "out"), bundle_base)


def test_a_ready_folder_of_the_web_ui_is_a_base(run, bundle_base, tmp_path, monkeypatch):
    """The web UI's "optimised" model.pth has no optimizer and no DVAE. vocab.json and config.json are beside it."""
    ready = tmp_path / "ready"
    ready.mkdir()
    for name, source in (("vocab.json", bundle_base), ("speakers_xtts.pth", bundle_base), ("config.json", bundle_base)):
        shutil.copyfile(source / name, ready / name)
    shutil.copyfile(run / "best_model.pth", ready / "unoptimize_model.pth")
    check(unfold(ready, tmp_path / "out"), bundle_base)

    state = torch.load(run / "best_model.pth", weights_only=True)
    del state["optimizer"]
    state["model"] = {name: value for name, value in state["model"].items() if "dvae" not in name}
    torch.save(state, ready / "model.pth")
    (ready / "unoptimize_model.pth").unlink()
    monkeypatch.delenv("COQUI_TOS_AGREED", raising=False)
    with pytest.raises(UserError, match=r"has no dvae\.pth .*XTTS v2's are needed.*COQUI_TOS_AGREED=1"):
        unfold(ready, tmp_path / "other")
    shutil.copyfile(bundle_base / "dvae.pth", ready / "dvae.pth")
    check(unfold(ready, tmp_path / "other"), bundle_base)


def test_a_checkpoint_with_a_configuration_object_is_a_base(bundle_base, tmp_path):
    """The published weights hold such an object, pickled under the module's old name."""
    source = Path(shutil.copytree(bundle_base, tmp_path / "source"))
    state = folder.load(source / "model.pth")
    with stock_module._legacy_safe_globals():
        torch.save({"config": folder.open_config(source), **state}, source / "model.pth")
    check(unfold(source, tmp_path / "out"), bundle_base, trained=False)


def test_a_checkpoint_with_the_names_of_xtts_v1_is_a_base(bundle_base, tmp_path):
    """XTTS v1's checkpoints also hold the generator that the GPT builds for inference."""
    source = Path(shutil.copytree(bundle_base, tmp_path / "source"))
    xtts = copy.deepcopy(folder.open_xtts(source))
    xtts.gpt.init_gpt_for_inference(kv_cache=True)
    names = set(xtts.state_dict())
    assert any(name.startswith("gpt.gpt_inference.") for name in names)
    torch.save({"model": xtts.state_dict()}, source / "model.pth")
    check(unfold(source, tmp_path / "out"), bundle_base, trained=False)


def test_a_pickle_that_would_run_code_is_refused(bundle_base, tmp_path):
    source = Path(shutil.copytree(bundle_base, tmp_path / "source"))

    class Malice:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"model": Malice()}, source / "model.pth")
    with pytest.raises(UserError, match=r"model\.pth was not opened, .* would load getattr, which could"):
        unfold(source, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


def test_the_error_for_the_parent_folder_suggests_the_training_folder(run, tmp_path):
    with pytest.raises(UserError, match=r"did you mean .*GPT_XTTS_FT"):
        unfold(run.parent, tmp_path / "out")
