"""Where a base comes from: the tiny bundle of this repository, or a folder in XTTS's own layout."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig

from voicetune.errors import UserError
from voicetune.xtts import folder
from voicetune.xtts.text import Tokenizer

_FILL_SEED = 20240607  # of the parts that the bundle does not carry; never trained, never changed


def tiny_config(layers: int, width: int, heads: int, num_tokens: int, languages: list[str]) -> XttsConfig:
    """XTTS v2's configuration in small: its limits, its strides, its conditioning, smaller widths."""
    args = XttsArgs(
        gpt_layers=layers, gpt_n_model_channels=width, gpt_n_heads=heads, decoder_input_dim=width,
        gpt_num_audio_tokens=num_tokens + 2, gpt_start_audio_token=num_tokens, gpt_stop_audio_token=num_tokens + 1,
        gpt_max_audio_tokens=605, gpt_max_text_tokens=402, gpt_max_prompt_tokens=70,
        gpt_use_perceiver_resampler=True, gpt_code_stride_len=1024, kv_cache=True,
    )  # fmt: skip
    return XttsConfig(model_args=args, languages=languages, gpt_cond_len=12, gpt_cond_chunk_len=3)


def from_bundle(bundle: Path, out: Path) -> None:
    """Unfold the committed bundle into a model folder that the stock client loads.

    HiFi-GAN and speaker encoder are not in the bundle; they are filled from a fixed seed, so the folder
    has the same bytes each time and its voice is made by DVAE and Griffin-Lim instead.
    """
    facts = _bundle_facts(bundle)
    out.mkdir(parents=True)
    shutil.copyfile(bundle / "vocab.json", out / "vocab.json")
    dvae, stats = bundle_dvae(bundle)
    torch.save(dvae, out / "dvae.pth")
    torch.save(stats, out / "mel_stats.pth")
    torch.manual_seed(_FILL_SEED)
    settings = tiny_config(**facts["gpt"], num_tokens=facts["dvae"]["num_tokens"], languages=facts["languages"])
    model = folder.build(settings, Tokenizer(out / "vocab.json"))
    model.gpt.load_state_dict({n: v.float() for n, v in load_file(bundle / "gpt.safetensors").items()})
    model.mel_stats.copy_(stats)
    torch.save({"model": model.state_dict()}, out / "model.pth")
    torch.save({}, out / folder.SPEAKERS)
    settings.save_json(str(out / "config.json"))
    sizes = {name: value for name, value in facts["dvae"].items() if name != "num_tokens"}
    text = {"base": "tiny", "dvae": sizes, "vocoder": "griffin_lim", "licence": facts["licence"]}
    (out / folder.OURS).write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")


def bundle_dvae(bundle: Path) -> tuple[dict[str, Tensor], Tensor]:
    """The bundle's DVAE: its weights by name, and mel_stats (80,)."""
    state = {name: value.float() for name, value in load_file(bundle / "dvae.safetensors").items()}
    stats = state.pop("mel_stats")
    return state, stats


def _bundle_facts(bundle: Path) -> dict:
    try:
        return json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{bundle}/bundle.json is missing; restore it with `git checkout {bundle}`.") from None


def from_folder(source: Path, out: Path) -> None:
    """Copy a folder in XTTS's own layout; it is opened once, so that a fault shows here.

    Raises:
        UserError: a file is missing, damaged or does not fit the others.
    """
    if not source.is_dir():
        raise UserError(f"base: '{source}' is neither 'tiny' nor a folder; correct `base` in params.yaml.")
    weights = folder.weights_file(source)
    folder.open_xtts(source)
    folder.open_dvae(source)
    out.mkdir(parents=True)
    for name in (*folder.SHARED, folder.SPEAKERS, folder.OURS):
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    shutil.copyfile(weights, out / "model.pth")
    if not (out / folder.SPEAKERS).is_file():
        torch.save({}, out / folder.SPEAKERS)


def unfold(base: str, out: Path, bundle: Path) -> None:
    """Make `out` the base that params.yaml names: `tiny`, or a folder."""
    if out.resolve().is_relative_to(Path(base).resolve()) and base != "tiny":
        raise UserError(f"base: '{base}' holds {out}, which is made from it; keep the base elsewhere.")
    shutil.rmtree(out, ignore_errors=True)
    if base == "tiny":
        from_bundle(bundle, out)
    else:
        from_folder(Path(base), out)
