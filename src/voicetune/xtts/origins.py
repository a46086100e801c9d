"""Where a base comes from: the tiny bundle of this repository, the published XTTS v2, or a model of yours."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig

from voicetune.errors import UserError
from voicetune.xtts import folder, hub, starts
from voicetune.xtts.text import Tokenizer

NAMED = ("tiny", "xtts_v2")
CPML = f"Coqui Public Model License, no commercial use, {hub.LICENCE}"
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
    shutil.copyfile(bundle.parents[1] / "LICENSE", out / folder.LICENCE)
    _describe(out, {"base": "tiny", "vocoder": "griffin_lim", "licence": facts["licence"]})


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


def from_hub(out: Path) -> None:
    """The published XTTS v2, from the hub or its cache; see `hub.fetch`."""
    files = hub.fetch(hub.XTTS_V2)
    from_start(files["model.pth"].parent, out)
    shutil.copyfile(hub.fetch_licence(hub.XTTS_V2), out / folder.LICENCE)
    _describe(out, {"base": "xtts_v2", "origin": hub.XTTS_V2.name, "vocoder": "hifigan", "licence": CPML})


def from_start(place: Path, out: Path) -> None:
    """Put a model that lies somewhere else (see `starts.recognise`) into XTTS's own layout.

    It is opened, so that a fault shows here, and written anew where the stock loader would otherwise rewrite it.

    Raises:
        UserError: a part is missing, damaged or does not fit the others.
    """
    start = starts.recognise(place)
    dvae, mel_stats = start.dvae, start.mel_stats
    if dvae is None or mel_stats is None:
        published = _published_codec(start)
        dvae = published["dvae.pth"] if dvae is None else dvae
        mel_stats = published["mel_stats.pth"] if mel_stats is None else mel_stats
    out.mkdir(parents=True)
    start.config.save_json(str(out / "config.json"))
    shutil.copyfile(start.vocab, out / "vocab.json")
    shutil.copyfile(start.weights, out / "model.pth")
    _put(dvae, out / "dvae.pth")
    _put(mel_stats, out / "mel_stats.pth")
    for name in (folder.SPEAKERS, folder.OURS, folder.LICENCE):
        if (start.beside / name).is_file():
            shutil.copyfile(start.beside / name, out / name)
    if not (out / folder.SPEAKERS).is_file():
        torch.save({}, out / folder.SPEAKERS)
    xtts = folder.open_xtts(out)
    if not folder.is_plain(out / "model.pth", xtts):
        torch.save({"model": xtts.state_dict()}, out / "model.pth")
    folder.open_dvae(out)
    folder.ours(out)


def _published_codec(start: starts.Start) -> dict[str, Path]:
    """XTTS v2's own DVAE, which whoever fine-tunes it leaves as it is."""
    lack = f"{start.weights} has no dvae.pth or no mel_stats.pth beside it, nor inside"
    if (start.beside / folder.OURS).is_file():
        raise UserError(f"{lack}; take the whole folder that it came from.")
    try:
        return hub.fetch(hub.XTTS_V2, ("dvae.pth", "mel_stats.pth"))
    except UserError as error:
        raise UserError(f"{lack}, so XTTS v2's are needed: {error}") from None


def _put(part: Path | dict[str, Tensor] | Tensor, out: Path) -> None:
    if isinstance(part, Path):
        shutil.copyfile(part, out)
    else:
        torch.save(part, out)


def _describe(out: Path, facts: dict[str, str]) -> None:
    (out / folder.OURS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def unfold(base: str, out: Path, bundle: Path) -> None:
    """Make `out` the base that params.yaml names: `tiny`, `xtts_v2`, or a path.

    Raises:
        UserError: nothing is there, or see `hub.fetch` and `from_start`; `out` is then as it was.
    """
    place = Path(base)
    if base not in NAMED and not place.exists():
        raise UserError(f"base: '{base}' is neither 'tiny' nor 'xtts_v2' nor a folder; correct `base` in params.yaml.")
    if base not in NAMED and out.resolve().is_relative_to(place.resolve()):
        raise UserError(f"base: '{base}' holds {out}, which is made from it; keep the base elsewhere.")
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        if base == "tiny":
            from_bundle(bundle, part)
        elif base == "xtts_v2":
            from_hub(part)
        else:
            from_start(place, part)
        shutil.rmtree(out, ignore_errors=True)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
