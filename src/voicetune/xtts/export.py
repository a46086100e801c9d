"""Prepares a model folder to be given away: the stock client can load it, and it names licence, origin and consent."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from voicetune import copies, moving
from voicetune.data import formats
from voicetune.errors import UserError
from voicetune.model import Gift
from voicetune.shapes import read_json
from voicetune.xtts import card, folder, tensors, vocabulary

CARD = "README.md"
_UNKNOWN_LICENCE = """\
The folder that this model was trained from had no licence text. If it descends from the published XTTS v2, it is
under the Coqui Public Model License, which allows no commercial use of the model and of what it says, and whose text
is to be handed on with every copy: https://coqui.ai/cpml.txt
"""


def export(model: Path, out: Path, gift: Gift) -> None:
    """Copy a model folder with its weights as model.pth, where `TTS(model_path=...)` looks for them.

    Args:
        out: a folder to be made; or a .zip file, which has its files without folders, as ebook2audiobook and
            xtts-api-server load them, and one speaker's recording as ref.wav.

    Raises:
        UserError: `out` exists already, lies in the model's folder or cannot be written, or `folder.check` fails. A
            failed export leaves nothing new.
    """
    out = Path(os.path.abspath(out))  # so that "new/.." counts as the folder that exists already
    if os.path.lexists(out):
        raise UserError(f"{out} exists already; choose another name, or remove it.")
    if out.is_relative_to(model.resolve()):
        raise UserError(f"{out} lies in the model's own folder; choose another one.")
    folder.check(model)
    whole = out.with_name(f".{out.name}.voicetune-whole") if out.suffix == ".zip" else out
    with copies.whole(whole, out.with_name(f".{out.name}.voicetune-part")) as part:
        _write(model, part, out, gift)
    if whole != out:
        try:
            _pack(whole, out, gift)
        finally:
            copies.remove(whole)


def _write(model: Path, part: Path, out: Path, gift: Gift) -> None:
    for name in (*folder.SHARED, folder.SPEAKERS, folder.FACTS, folder.LICENCE):
        if (model / name).is_file():
            copies.copy(model / name, part / name)
    with copies.written(out):
        _write_merges_as_strings(part / "vocab.json")
    weights = folder.weights_file(model)
    if gift.half or gift.safetensors:
        values = {name: _halved(one) if gift.half else one for name, one in tensors.load_weights(weights).items()}
        tensors.save({"model": values}, part / "model.pth")
        if gift.safetensors:
            with copies.written(out):
                save_file({name: one.contiguous().clone() for name, one in values.items()}, part / "model.safetensors")
    else:
        copies.copy(weights, part / "model.pth")
    facts, tokenizer = folder.read_facts(model), folder.open_tokenizer(model).stock.tokenizer
    added = bool(vocabulary.mark_of(tokenizer, vocabulary.tag_of(facts.get("language", "en"))))
    text = card.make(out.stem, facts, sorted(folder.speakers(model)), gift, added)
    with copies.written(out):
        if not (part / folder.LICENCE).is_file():
            (part / folder.LICENCE).write_text(_UNKNOWN_LICENCE, encoding="utf-8", newline="\n")
        (part / CARD).write_text(text, encoding="utf-8", newline="\n")


def _write_merges_as_strings(vocab: Path) -> None:
    """Rewrite a vocabulary whose merges are pairs, because tokenizers before 0.20 (other programs) reads strings only.

    It stays as it is if a token has a space in it.
    """
    known = read_json(vocab, dict[str, Any], "take the vocab.json that belongs to the model")
    merges = known["model"].get("merges", [])
    if merges and all(isinstance(one, list) and " " not in "".join(one) for one in merges):
        known["model"]["merges"] = [" ".join(one) for one in merges]
        vocab.write_text(json.dumps(known, indent=1, ensure_ascii=False), encoding="utf-8", newline="\n")


def _halved(value: torch.Tensor) -> torch.Tensor:
    """A tensor in float16 if it is float32. The stock client turns it back into float32."""
    return value.half() if value.dtype == torch.float32 else value


def _pack(whole: Path, out: Path, gift: Gift) -> None:
    """Write the files of a folder into a .zip, without folders and without dates, so that the bytes are the same."""
    assert gift.reference is not None
    part = out.with_name(f".{out.name}.voicetune-part")
    samples, rate = gift.reference
    sounds = {"ref.wav": formats.encode(np.asarray(samples, np.float32), rate, "wav")}
    try:
        with copies.written(out), zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted([*(path.name for path in whole.iterdir()), *sounds]):
                entry = zipfile.ZipInfo(name)  # its date is 1980
                with archive.open(entry, "w", force_zip64=True) as file:
                    file.write(sounds[name] if name in sounds else (whole / name).read_bytes())
        with copies.written(out):
            moving.rename(part, out)
    finally:
        part.unlink(missing_ok=True)
