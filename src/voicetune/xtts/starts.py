"""Recognises the layout of a model to start from, and finds its parts.

It recognises:

- a folder in XTTS's own layout, voicetune's folders included
- a training folder of the stock trainer: `best_model_1901.pth` with its config.json, which names the other files
- the `ready` folder of xtts-finetune-webui
- one checkpoint in such a folder, by its path

The stock trainer's checkpoints also hold the DVAE and mel_stats (`TTS.tts.layers.xtts.trainer.gpt_trainer.GPTTrainer`).
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from TTS.tts.configs.xtts_config import XttsConfig

from voicetune import copies
from voicetune.errors import UserError
from voicetune.xtts import folder

_WEIGHTS = (*folder.WEIGHTS, "unoptimize_model.pth")  # the last is xtts-finetune-webui's, before it removes the DVAE
_NUMBERED = re.compile(r"(best_model|checkpoint)_(\d+)\.pth")
_STOCK_FILES = "XTTS_v2.0_original_model_files"  # the stock recipe keeps the base's files there, beside its runs
_DVAE = "dvae."
_MEL_STATS = "mel_stats"


@dataclass(frozen=True)
class Start:
    """A model's parts: files, or tensors from the checkpoint itself.

    dvae, mel_stats: a file, or tensors, or None if there is neither.
    beside: the folder of the weights.
    """

    weights: Path
    config: XttsConfig
    vocab: Path
    dvae: Path | dict[str, Tensor] | None
    mel_stats: Path | Tensor | None
    beside: Path


def recognise(place: Path) -> Start:
    """Find a model's parts.

    Args:
        place: a folder, or a checkpoint.

    Raises:
        UserError: there is no checkpoint, no config.json beside it, or no vocabulary; or a file is damaged or links
            out of its folder.
    """
    weights = place if place.is_file() else _newest(place)
    beside = weights.parent
    for path in (weights, beside / "config.json"):
        copies.check_link(path, beside)
    config, named = _config(weights)
    vocab = _find(beside, "vocab.json", named["tokenizer_file"])
    if vocab is None:
        raise UserError(
            f"{weights} has no vocab.json beside it; copy the one that it was trained with into {beside}"
            " (the stock recipe downloads it with the base)."
        )
    dvae: Path | dict[str, Tensor] | None = _find(beside, "dvae.pth", named["dvae_checkpoint"])
    stats: Path | Tensor | None = _find(beside, "mel_stats.pth", named["mel_norm_file"])
    if dvae is None or stats is None:
        held = folder.load_weights(weights)
        inside = {name.removeprefix(_DVAE): value for name, value in held.items() if name.startswith(_DVAE)}
        dvae = dvae or inside or None
        stats = folder.select_xtts_weights(held).get(_MEL_STATS) if stats is None else stats
    return Start(weights, config, vocab, dvae, stats, beside)


def _newest(place: Path) -> Path:
    """Find a folder's weights: a file without a step number, else the latest best_model, else the latest checkpoint."""
    for name in _WEIGHTS:
        if (place / name).is_file():
            return place / name
    found = [match for path in place.glob("*.pth") if (match := _NUMBERED.fullmatch(path.name))]
    if not found:
        below = [path for pattern in ("*", "*/*") for path in place.glob(f"{pattern}/best_model*.pth")]
        inside = [path.parent for path in sorted(below)[-1:]]
        hint = f"; did you mean {inside[0]}?" if inside else "; take the folder that a model's weights lie in."
        raise UserError(f"base: '{place}' has no model.pth, best_model.pth or checkpoint{hint}")
    return place / max(found, key=lambda match: (match[1] == "best_model", int(match[2])))[0]


def _config(weights: Path) -> tuple[XttsConfig, dict[str, str]]:
    """Open the configuration beside a checkpoint, and read the paths that the stock trainer wrote into it."""
    if not (weights.parent / "config.json").is_file():
        raise UserError(f"{weights} has no config.json beside it; copy the one that it was trained with there.")
    config = folder.open_config(weights.parent)  # it checks that model_args is a dict
    config.model_args.tokenizer_file, config.output_path, config.datasets = "", "output", []  # paths of its training
    # read as JSON, because importing the stock trainer's class would limit torch to one thread
    named = json.loads((weights.parent / "config.json").read_text(encoding="utf-8")).get("model_args", {})
    return config, {name: str(named.get(name) or "") for name in ("tokenizer_file", "dvae_checkpoint", "mel_norm_file")}


def _find(beside: Path, name: str, named: str) -> Path | None:
    """Find a file beside the weights, at the path in the configuration, or among the stock recipe's files.

    The stock trainer writes full paths to its base's files, so the configuration may name a file anywhere. But it
    cannot pick an arbitrary file of this machine. The file must have the stock name and must not be a link out of its
    folder. Nothing is copied from it before it has been opened as what it should be (a vocabulary of the model's size,
    a DVAE, 80 numbers).
    """
    configured = [Path(named)] if os.path.basename(named) == name else []
    places = [beside / name, *configured, beside.parent / _STOCK_FILES / name]
    found = next((path for path in places if os.path.isfile(path)), None)
    if found:
        copies.check_link(found, found.parent)
    return found
