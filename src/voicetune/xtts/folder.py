"""How a model folder is opened and closed. Whether from the hub, the bundle, a phase or a remote.

A folder has the files that the stock client (`TTS.tts.models.xtts.Xtts`) reads: config.json, the
weights (model.pth, or best_model.pth of a phase), vocab.json, dvae.pth, mel_stats.pth,
speakers_xtts.pth; and voicetune.json with what is ours: the DVAE's sizes, whether the HiFi-GAN is
trained, the licence, and a phase's facts.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.layers.xtts.dvae import DiscreteVAE
from TTS.tts.models.xtts import Xtts

from voicetune.errors import UserError
from voicetune.xtts import codec
from voicetune.xtts.text import Tokenizer

WEIGHTS = ("best_model.pth", "model.pth")
SHARED = ("config.json", "vocab.json", "dvae.pth", "mel_stats.pth")
SPEAKERS = "speakers_xtts.pth"
OURS = "voicetune.json"
_CODEC_PARTS = ("encoder.", "decoder.", "codebook.")

Speakers = dict[str, dict[str, Tensor]]


def weights_file(folder: Path) -> Path:
    """The folder's weights: best_model.pth where there is one, else model.pth.

    Raises:
        UserError: the folder or a file of it is missing.
    """
    for name in SHARED:
        if not (folder / name).is_file():
            raise UserError(f"{folder} is no model folder: {name} is missing; run `dvc repro` or `dvc pull` first.")
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder} has no {' or '.join(WEIGHTS)}; run `dvc repro` or `dvc pull` first.")


def load(path: Path) -> Any:
    """torch.load of tensors alone, onto the CPU.

    Raises:
        UserError: the file is missing, damaged, or holds something other than tensors.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; run `dvc repro` or `dvc pull` first.")
    with _readable(path):
        return torch.load(path, map_location="cpu", weights_only=True)


def config(folder: Path) -> XttsConfig:
    """The stock configuration, opened with the stock class."""
    opened = XttsConfig()
    with _readable(folder / "config.json"):
        opened.load_json(str(folder / "config.json"))
    return opened


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns whatever a damaged file raises while it is opened into one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the stock loaders have no common type
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} cannot be read ({reason}); fetch or make it again.") from None


def ours(folder: Path) -> dict[str, Any]:
    """What voicetune.json says; for a folder without one, what holds of the published XTTS v2."""
    path = folder / OURS
    if not path.is_file():
        return {"dvae": codec.PUBLISHED_SIZES, "vocoder": "hifigan"}
    with _readable(path):
        return json.loads(path.read_text(encoding="utf-8"))


def tokenizer(folder: Path) -> Tokenizer:
    with _readable(folder / "vocab.json"):
        return Tokenizer(folder / "vocab.json")


def build(settings: XttsConfig, words: Tokenizer) -> Xtts:
    """A stock model with the vocabulary's number of text tokens, its weights not loaded."""
    settings.model_args.gpt_number_text_tokens = len(words)
    settings.model_args.gpt_start_text_token = words.special("[START]")
    settings.model_args.gpt_stop_text_token = words.special("[STOP]")
    model = Xtts(settings)
    model.tokenizer = words.stock
    return model


def open_xtts(folder: Path) -> Xtts:
    """The whole stock model with its weights, strictly loaded, in eval mode; not set up for generating."""
    path = weights_file(folder)
    model = build(config(folder), tokenizer(folder))
    state = load(path)["model"]
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not fit its config.json ({reason}); take both from the same model.") from None
    torch.nn.Module.eval(model)  # Xtts.eval would also build its generator
    return model


def open_dvae(folder: Path) -> tuple[DiscreteVAE, Tensor]:
    """The DVAE, and mel_stats (80,)."""
    num_tokens = config(folder).model_args.gpt_num_audio_tokens - 2
    path = folder / "dvae.pth"
    dvae = codec.build_dvae(num_tokens=num_tokens, **ours(folder)["dvae"])
    try:
        strange = dvae.load_state_dict(load(path), strict=False)
        reason = ", ".join(n for n in (*strange.missing_keys, *strange.unexpected_keys) if n.startswith(_CODEC_PARTS))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
    if reason:
        raise UserError(f"{path} does not fit the sizes in {OURS} ({reason[:200]}); take both from the same model.")
    return dvae.eval(), load(folder / "mel_stats.pth")


def speakers(folder: Path) -> Speakers:
    """Voices by name: gpt_cond_latent (1, 32, width) and speaker_embedding (1, 512, 1)."""
    return load(folder / SPEAKERS) if (folder / SPEAKERS).is_file() else {}


def close(folder: Path, parent: Path, gpt: dict[str, Tensor], voices: Speakers, facts: dict[str, Any]) -> None:
    """Write a phase's folder in its parent's layout, with other GPT weights, voices and facts.

    Args:
        gpt: state of the GPT alone, keys as in `GPT.state_dict`.
        voices: as `speakers` returns them.
        facts: put into voicetune.json under `facts`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        shutil.copyfile(parent / name, folder / name)
    state = load(weights_file(parent))["model"]
    state.update({f"gpt.{name}": value for name, value in gpt.items()})
    torch.save({"model": state}, folder / WEIGHTS[0])
    torch.save(voices, folder / SPEAKERS)
    text = json.dumps({**ours(parent), "facts": facts}, indent=2, ensure_ascii=False)
    (folder / OURS).write_text(text + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
