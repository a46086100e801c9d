"""Loads torch files without running any code in them, and saves them."""

import os
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from TTS.tts.models.xtts import _legacy_safe_globals

from voicetune import copies
from voicetune.errors import UserError
from voicetune.xtts import checks


def load(path: Path) -> Any:
    """Load tensors onto the CPU, and the configuration objects that older checkpoints hold beside them.

    No code in the file is run: `weights_only` builds tensors, containers of Python and the four stock configuration
    classes, and calls nothing else (https://docs.pytorch.org/docs/stable/notes/serialization.html).

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; run `dvc repro` or `dvc pull` first.")
    if not os.access(path, os.R_OK):
        raise UserError(f"you may not read {path}; correct its permissions.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the user sees our one sentence, without torch's warnings
        try:
            _check_packing(path)
            try:
                return torch.load(path, map_location="cpu", weights_only=True)
            except pickle.UnpicklingError:
                with _legacy_safe_globals():
                    return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged bytes can make a reader raise anything
            raise UserError(_refusal(path, error)) from None


def _check_packing(path: Path) -> None:
    """Refuse compressed files. torch does not compress tensors, and a small compressed file could fill the memory."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                raise ValueError("its parts are compressed")


def _refusal(path: Path, error: Exception) -> str:
    """Say why a file was not opened, without torch's message, which advises to open it in a way that runs code."""
    if isinstance(error, MemoryError) or any(
        one in str(error) for one in ("can't allocate memory", "not enough memory")
    ):
        return f"{path} does not fit into the memory of this machine; free some, or use a larger one."
    asked = re.search(r"GLOBAL ([\w.]{1,80})", str(error))
    if asked:
        return (
            f"{path} was not opened, because opening it would load {asked[1]}, which could run code; do not open it in"
            " another way, and fetch the model from a source that you trust."
        )
    with path.open("rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            return f"{path} is a pointer of Git LFS and not the file; run `git lfs pull` where it came from."
    return f"{path} is no checkpoint of torch, or damaged; {checks.AGAIN}."


def load_weights(path: Path) -> dict[str, Tensor]:
    """Load the weights of a checkpoint, under all their names in the file.

    Raises:
        UserError: see `load`, or the file is no checkpoint.
    """
    loaded = load(path)
    return checks.check_weights(path, loaded.get("model", loaded) if isinstance(loaded, dict) else None)


def save(value: Any, out: Path) -> None:
    """Write with torch.save. A full disk raises one UserError."""
    with copies.written(out):
        torch.save(value, out)
