"""Checks the files of a model folder before a model is built from them or they are copied.

The files may be faulty or malicious. Sizes are compared with the weights first, so that nothing is built that is larger
than the file itself.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voicetune.errors import UserError
from voicetune.params import languages as codes

AGAIN = "fetch or make it again"
BANDS = 80  # of a mel spectrogram
EMBEDDING = (1, 512, 1)  # shape of a speaker_embedding, also where the renderer keeps its statistics in it
VOCODERS = ("hifigan", "renderer", "griffin_lim")

# Smallest and largest allowed value of each size in config.json's model_args. Published: 30 layers of width 1,024.
_SIZES = {
    "gpt_layers": (1, 512), "gpt_n_model_channels": (1, 16384), "gpt_n_heads": (1, 512),
    "gpt_max_audio_tokens": (1, 100_000), "gpt_max_text_tokens": (1, 100_000), "gpt_max_prompt_tokens": (1, 10_000),
    "gpt_num_audio_tokens": (3, 1_000_000), "gpt_start_audio_token": (0, 1_000_000),
    "gpt_stop_audio_token": (0, 1_000_000), "gpt_code_stride_len": (1024, 1024), "input_sample_rate": (22050, 22050),
    "output_sample_rate": (8000, 192_000), "output_hop_length": (1, 4096), "decoder_input_dim": (1, 16384),
    "d_vector_dim": (1, 16384),
}  # fmt: skip
_SECONDS = {"gpt_cond_len": (1, 600), "gpt_cond_chunk_len": (1, 600), "max_ref_len": (1, 600)}
_SWITCHES = ("gpt_use_perceiver_resampler", "cond_d_vector_in_each_upsampling_layer", "kv_cache")
_TEXTS = ("base", "origin", "licence", "published")


def check_config(path: Path, found: Any) -> None:
    """Check config.json's content as it is in the file. A missing key has the stock class's default.

    Raises:
        UserError: it is not a JSON object for XTTS, or a value has a type or size that XTTS cannot have.
    """
    args, audio = (found.get(part, {}) if isinstance(found, dict) else None for part in ("model_args", "audio"))
    if not isinstance(args, dict) or not isinstance(audio, dict) or found.get("model", "xtts") != "xtts":
        raise UserError(f"{path} is no configuration of XTTS; take the config.json that belongs to the model.")
    numbers = [(args, name, low, high) for name, (low, high) in _SIZES.items()]
    numbers += [(found, name, low, high) for name, (low, high) in _SECONDS.items()]
    numbers += [(audio, name, *_SIZES["output_sample_rate"]) for name in ("sample_rate", "output_sample_rate")]
    for table, name, low, high in numbers:
        value = table.get(name, low)
        if type(value) is not int or not low <= value <= high:
            _refuse_value(path, name, value, f"{low} to {high}" if low < high else f"{low}")
    for name in _SWITCHES:
        if type(args.get(name, False)) is not bool:
            _refuse_value(path, name, args[name], "true or false")
    languages = found.get("languages", [])
    if not isinstance(languages, list) or not all(isinstance(one, str) for one in languages):
        _refuse_value(path, "languages", languages, "a list of names")


def _refuse_value(path: Path, name: str, value: Any, rule: str) -> None:
    raise UserError(
        f"{path}: '{name}' is {_shown(value)}, but should be {rule}; take the file that belongs to the model."
    )


def _shown(value: Any) -> str:
    """Show a value in a few characters: a string is cut to 40, a list or dict is shown only by its type."""
    if value is None or isinstance(value, bool | float):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**12 else "a number of more than 12 digits"
    return repr(value[:40]) if isinstance(value, str) else f"a {type(value).__name__}"


def check_weights(path: Path, found: Any) -> dict[str, Tensor]:
    """Check that a checkpoint's content maps names to plain tensors.

    Raises:
        UserError: the content is something else.
    """
    if not isinstance(found, dict) or not found:
        raise UserError(f"{path} holds no weights; take the checkpoint of a model.")
    for name, value in found.items():
        if not isinstance(name, str) or not _is_plain(value):
            raise UserError(f"{path} holds no weights ({_shown(name)} is not one); take the checkpoint of a model.")
    return found


def _is_plain(value: Any) -> bool:
    """Whether it is a dense CPU tensor of real numbers that stores every element, instead of repeating a few."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    if value.is_floating_point() and value.element_size() < 2:  # torch has few operations for 8-bit floats
        return False
    stored = value.untyped_storage().nbytes()
    return not value.is_complex() and not value.is_quantized and value.numel() * value.element_size() <= stored


def check_fits_file(path: Path, found: Mapping[str, Tensor]) -> None:
    """Check that weights are no bigger than their file. Many names may point to the same numbers in the file.

    Raises:
        UserError: the weights are bigger.
    """
    if sum(value.numel() * value.element_size() for value in found.values()) > path.stat().st_size:
        raise UserError(f"{path} stores the same numbers under several names, unlike any XTTS; {AGAIN}.")


def check_gpt_sizes(path: Path, found: Mapping[str, Tensor], args: Any, text_tokens: int) -> None:
    """Compare the sizes in config.json and vocab.json with the weights, before the model is built in those sizes.

    Args:
        args: the stock `XttsArgs`.

    Raises:
        UserError: a size differs, or a weight is missing.
    """
    width, layers = args.gpt_n_model_channels, _layers(found)
    expected = {
        "gpt.mel_embedding.weight": ("gpt_num_audio_tokens", (args.gpt_num_audio_tokens, width)),
        "gpt.text_embedding.weight": ("vocabulary", (text_tokens, width)),
        "gpt.mel_pos_embedding.emb.weight": ("gpt_max_audio_tokens", (args.gpt_max_audio_tokens + 3, width)),
        "gpt.text_pos_embedding.emb.weight": ("gpt_max_text_tokens", (args.gpt_max_text_tokens + 2, width)),
        "gpt.final_norm.weight": ("gpt_n_model_channels", (width,)),
        "hifigan_decoder.waveform_decoder.conv_pre.weight": ("decoder_input_dim", (512, args.decoder_input_dim, 7)),
        "hifigan_decoder.waveform_decoder.cond_layer.weight": ("d_vector_dim", (512, args.d_vector_dim, 1)),
    }
    wrong = f"gpt_layers ({layers}, not {args.gpt_layers})" if layers != args.gpt_layers else ""
    for name, (what, shape) in expected.items():
        if name not in found:
            raise UserError(f"{path} has no {name}, so it is not a whole XTTS; {AGAIN}.")
        if not wrong and tuple(found[name].shape) != shape:
            wrong = f"{what} ({_shape(found[name])}, not {list(shape)})"
    if not wrong and (12 * layers + 24) * width**2 > sum(value.numel() for value in found.values()):
        wrong = "the weights of the layers are missing"  # 12 width^2 per layer, 24 width^2 in the conditioning encoder
    if wrong:
        raise UserError(f"{path} does not fit its config.json and vocab.json: {wrong}; take all from the same model.")
    last_two = {args.gpt_num_audio_tokens - 2, args.gpt_num_audio_tokens - 1}
    if width % args.gpt_n_heads or {args.gpt_start_audio_token, args.gpt_stop_audio_token} != last_two:
        raise UserError(
            f"the config.json of {path} fits no XTTS (heads or audio tokens); take both from the same model."
        )


def _layers(found: Mapping[str, Tensor]) -> int:
    return sum(name.startswith("gpt.gpt.h.") and name.endswith(".attn.c_attn.weight") for name in found)


def check_finite(path: Path, found: Mapping[str, Tensor]) -> None:
    """Check that every weight is finite.

    This reads all weights, so it runs only when a model is imported or given away, not every time it is opened.

    Raises:
        UserError: a weight is NaN or infinite.
    """
    for name, value in found.items():
        if not torch.isfinite(value).all():
            raise UserError(
                f"{path}: {name[:100]} has values that are not finite; the training that wrote it failed, so take an"
                " earlier checkpoint or fetch it again."
            )


def check_mel_stats(path: Path, found: Any) -> Tensor:
    """Check mel_stats (80,). Each value divides one band of a log mel spectrogram. The published ones are all negative.

    Raises:
        UserError: it has another shape, or a value that is not finite or whose magnitude is not between 1e-3 and 1e3.
    """
    if not _is_plain(found) or tuple(found.shape) != (BANDS,) or not found.is_floating_point():
        raise UserError(f"{path} is no mel_stats of XTTS ({_shape(found)}, not [{BANDS}]); {AGAIN}.")
    if not torch.isfinite(found).all() or found.abs().min() < 1e-3 or found.abs().max() > 1e3:
        raise UserError(f"{path}: mel_stats has values that are zero, not finite or far off; {AGAIN}.")
    return found


def check_speakers(path: Path, found: Any, width: int) -> dict[str, dict[str, Tensor]]:
    """Check speakers by name: gpt_cond_latent (1, any, width) and speaker_embedding (1, 512, 1).

    Raises:
        UserError: a speaker has another type or shape, or is not finite.
    """
    if not isinstance(found, dict) or not all(_is_line(name) for name in found):
        raise UserError(f"{path} should hold named speakers, and does not; {AGAIN}.")
    for name, one in found.items():
        fault = _find_speaker_fault(one, width)
        if fault:
            raise UserError(f"{path}: the speaker '{name[:60]}' has {fault}; take the file that belongs to the model.")
    return found


def _find_speaker_fault(speaker: Any, width: int) -> str | None:
    known = speaker if isinstance(speaker, dict) else {}
    for name, shape in (("gpt_cond_latent", (1, -1, width)), ("speaker_embedding", EMBEDDING)):
        value: Any = known.get(name)
        fits = _is_plain(value) and value.is_floating_point() and value.dim() == 3 and value.numel() > 0
        if not fits or any(size not in (-1, given) for size, given in zip(shape, value.shape, strict=True)):
            return f"{name} {_shape(value)}, not {list(shape)}".replace("-1", "any")
        if not torch.isfinite(value).all():
            return "values that are not finite"
    return None


def _shape(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _is_line(value: Any) -> bool:
    """Whether it is a printable text of one line, 1 to 500 characters long."""
    return isinstance(value, str) and 0 < len(value) <= 500 and value.isprintable()


def check_facts(path: Path, found: Any) -> dict[str, Any]:
    """Check voicetune.json. Its `decoding`, how codes are drawn, is checked where it is used.

    Raises:
        UserError: it is not a JSON object, or a value has the wrong type or is unknown.
    """
    if not isinstance(found, dict):
        raise UserError(f"{path} should be a JSON object, but is {_shape(found)}; {AGAIN}.")
    if found.get("vocoder") not in VOCODERS:
        _refuse_value(path, "vocoder", found.get("vocoder"), " or ".join(VOCODERS))
    for name in _TEXTS:
        if name in found and not _is_line(found[name]):
            _refuse_value(path, name, found[name], "a text of one line")
    if not codes.is_code(found.get("language", "en")):
        _refuse_value(path, "language", found["language"], codes.RULE)
    facts = found.get("facts", {})
    if not isinstance(facts, dict) or not all(_is_line(name) and _is_fact(value) for name, value in facts.items()):
        raise UserError(f"{path}: 'facts' may hold only names with numbers or short texts; {AGAIN}.")
    if isinstance(facts.get("clip_seconds", 0.0), bool) or not isinstance(facts.get("clip_seconds", 0.0), int | float):
        _refuse_value(path, "clip_seconds", facts["clip_seconds"], "a number")
    return found


def _is_fact(value: Any, depth: int = 3) -> bool:
    """Whether it is a number, a line of text or None, or lists and dicts of these, nested at most `depth` times."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | dict):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and all(_is_fact(one, depth - 1) for one in inner)
    return value is None or value == "" or isinstance(value, int) or _is_line(value)
