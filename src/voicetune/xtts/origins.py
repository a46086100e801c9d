"""Makes the base from its origin: the bundle of this repository, the published XTTS v2, or the user's own model."""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
from TTS.tts.models.xtts import Xtts

from voicetune import copies
from voicetune.errors import UserError, quoted
from voicetune.params.shared import TINY
from voicetune.xtts import checks, codec, folder, hub, starts
from voicetune.xtts.text import Tokenizer

NAMED = (TINY, "xtts_v2")
CPML = f"Coqui Public Model License, no commercial use, {hub.LICENCE}"
_HANDED_ON = (folder.SPEAKERS, folder.FACTS, folder.LICENCE)
_FILL_SEED = 20240607  # for the parts that the bundle lacks; these are never trained or changed


def tiny_config(layers: int, width: int, heads: int, num_tokens: int, languages: list[str]) -> XttsConfig:
    """XTTS v2's configuration in small: its limits, strides and conditioning, but smaller sizes."""
    args = XttsArgs(
        gpt_layers=layers, gpt_n_model_channels=width, gpt_n_heads=heads, decoder_input_dim=width,
        gpt_num_audio_tokens=num_tokens + 2, gpt_start_audio_token=num_tokens, gpt_stop_audio_token=num_tokens + 1,
        gpt_max_audio_tokens=605, gpt_max_text_tokens=402, gpt_max_prompt_tokens=70,
        gpt_use_perceiver_resampler=True, gpt_code_stride_len=1024, kv_cache=True,
    )  # fmt: skip
    return XttsConfig(model_args=args, languages=languages, gpt_cond_len=12, gpt_cond_chunk_len=3)


def from_bundle(bundle: Path, out: Path) -> None:
    """Unfold the committed bundle into a model folder that the stock client loads.

    The bundle has no HiFi-GAN and no speaker encoder. They are filled from a fixed seed, so the folder has the same
    bytes each time. Its sound comes from the renderer, followed by Griffin-Lim.

    Args:
        out: an empty folder.
    """
    facts = _bundle_facts(bundle)
    copies.copy(bundle / "vocab.json", out / "vocab.json")
    dvae, stats = bundle_dvae(bundle)
    folder.save(filled(dvae, facts["dvae"]), out / "dvae.pth")
    folder.save(stats, out / "mel_stats.pth")
    torch.manual_seed(_FILL_SEED)
    settings = tiny_config(**facts["gpt"], num_tokens=facts["dvae"]["num_tokens"], languages=facts["languages"])
    model = folder.build(settings, Tokenizer(out / "vocab.json"))
    model.gpt.load_state_dict({n: v.float() for n, v in load_file(bundle / "gpt.safetensors").items()})
    model.mel_stats.copy_(stats)
    folder.save({"model": model.state_dict()}, out / "model.pth")
    folder.save({}, out / folder.SPEAKERS)
    with copies.written(out):
        settings.save_json(str(out / "config.json"))
    copies.copy(bundle.parents[1] / "LICENSE", out / folder.LICENCE)
    _describe(out, {"base": TINY, "vocoder": "renderer", "licence": facts["licence"]})


def filled(dvae: dict[str, Tensor], sizes: dict[str, int]) -> dict[str, Tensor]:
    """Complete a DVAE's weights. The bundle has a renderer and no decoder of the DVAE, so a fixed seed fills it."""
    torch.manual_seed(_FILL_SEED)
    return codec.build_dvae(**sizes).state_dict() | dvae


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
    """Copy the published XTTS v2 from the hub or its cache. See `hub.fetch`."""
    files = hub.fetch(hub.XTTS_V2)
    from_start(files["model.pth"].parent, out)
    copies.copy(hub.fetch_licence(hub.XTTS_V2), out / folder.LICENCE)
    _describe(out, {"base": "xtts_v2", "origin": hub.XTTS_V2.name, "vocoder": "hifigan", "licence": CPML})


def from_start(place: Path, out: Path) -> None:
    """Copy a model from elsewhere (see `starts.recognise`) into XTTS's own layout.

    The model is opened first, so that an error names the original file. Its weights are saved anew if the stock loader
    would otherwise rewrite them.

    Args:
        out: an empty folder.

    Raises:
        UserError: a part is missing, damaged or does not fit the others.
    """
    start = starts.recognise(place)
    dvae, mel_stats = start.dvae, start.mel_stats
    if dvae is None or mel_stats is None:
        published = _published_codec(start)
        dvae = published["dvae.pth"] if dvae is None else dvae
        mel_stats = published["mel_stats.pth"] if mel_stats is None else mel_stats
    xtts = _check(start, dvae, mel_stats)
    if folder.is_plain(start.weights, xtts):
        copies.copy(start.weights, out / "model.pth")
    else:
        folder.save({"model": xtts.state_dict()}, out / "model.pth")
    with copies.written(out):
        start.config.save_json(str(out / "config.json"))
    copies.copy(start.vocab, out / "vocab.json")
    _put(dvae, out / "dvae.pth")
    _put(mel_stats, out / "mel_stats.pth")
    for name in _HANDED_ON:
        if (start.beside / name).is_file():
            copies.copy(start.beside / name, out / name)
    if not (out / folder.SPEAKERS).is_file():
        folder.save({}, out / folder.SPEAKERS)


def _check(start: starts.Start, dvae: Path | dict[str, Tensor], mel_stats: Path | Tensor) -> Xtts:
    """Open all of a model in its original place, so that an error names the original file, and check every weight."""
    for name in _HANDED_ON:
        copies.check_link(start.beside / name, start.beside)
    vocoder = folder.read_facts(start.beside)["vocoder"]
    folder.speakers(start.beside)
    if isinstance(mel_stats, Path):
        checks.check_mel_stats(mel_stats, folder.load(mel_stats))
    else:
        checks.check_mel_stats(start.weights, mel_stats)
    place = dvae if isinstance(dvae, Path) else start.weights
    weights = folder.load_weights(dvae) if isinstance(dvae, Path) else dvae
    checks.check_finite(place, folder.assemble_dvae(place, weights, start.config).state_dict())
    if vocoder == "renderer":
        checks.check_finite(place, folder.assemble_renderer(place, weights).state_dict())
    words = folder.open_vocabulary(start.vocab)
    xtts = folder.assemble(start.weights, folder.load_weights(start.weights), start.config, words)
    checks.check_finite(start.weights, xtts.state_dict())
    return xtts


def _published_codec(start: starts.Start) -> dict[str, Path]:
    """Fetch the DVAE and mel_stats of XTTS v2, which fine-tuning leaves unchanged."""
    lack = f"{start.weights} has no dvae.pth or no mel_stats.pth beside it, nor inside"
    if (start.beside / folder.FACTS).is_file():
        raise UserError(f"{lack}; take the whole folder that it came from.")
    try:
        return hub.fetch(hub.XTTS_V2, ("dvae.pth", "mel_stats.pth"))
    except UserError as error:
        raise UserError(f"{lack}, so XTTS v2's are needed: {error}") from None


def _put(part: Path | dict[str, Tensor] | Tensor, out: Path) -> None:
    if isinstance(part, Path):
        copies.copy(part, out)
    else:
        folder.save(part, out)


def _describe(out: Path, facts: dict[str, str]) -> None:
    with copies.written(out):
        (out / folder.FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8", newline="\n")


def unfold(base: str, out: Path, bundle: Path) -> None:
    """Make `out` the base that params.yaml names: `tiny`, `xtts_v2`, or a path.

    Args:
        bundle: the folder of the bundle for `tiny`.

    Raises:
        UserError: `base` does not exist or contains `out`, `out` cannot be written, or see `hub.fetch` and
            `from_start`. `out` then stays as it was.
    """
    place = Path(base)
    if base not in NAMED and not os.path.exists(base):  # False also if it cannot be a path at all
        raise UserError(
            f"base: {quoted(base, 100)} is neither 'tiny' nor 'xtts_v2' nor a folder; correct `base` in params.yaml."
        )
    if base not in NAMED and out.resolve().is_relative_to(place.resolve()):
        raise UserError(f"base: '{base}' holds {out}, which is made from it; keep the base elsewhere.")
    with copies.whole(out, out.with_name(out.name + ".part")) as part:
        if base == TINY:
            from_bundle(bundle, part)
        elif base == "xtts_v2":
            from_hub(part)
        else:
            from_start(place, part)
