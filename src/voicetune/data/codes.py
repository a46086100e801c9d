"""The encoded dataset: the text tokens, audio codes and conditioning mel of each clip, in one file.

`codes.safetensors` holds each of the three as one flat array with offsets. It is read into memory when opened.
`clips.csv` beside it is the manifest, with one row for each clip in the same order.
"""

import json
import math
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from voicetune import files
from voicetune.data import audio
from voicetune.data import clip as clips_file
from voicetune.data.clip import Clip
from voicetune.data.split import SIDES
from voicetune.errors import UserError

FRAMES_PER_SECOND = audio.SAMPLE_RATE / 256
_ARRAYS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "tokens": (np.int32, ()), "mel": (np.float16, (80,)), "codes": (np.int16, ())
}  # fmt: skip
"""The type of each array and the shape of its items, in the order of the file."""


@dataclass(frozen=True)
class Encoded:
    """One clip: tokens (t,) int32; codes (m,) int16; mel (frames, 80) float16."""

    tokens: np.ndarray
    codes: np.ndarray
    mel: np.ndarray


def save(folder: Path, clips: list[Clip], encoded: Iterable[Encoded]) -> dict[str, int]:
    """Write `codes.safetensors` and `clips.csv`, one row for each clip.

    Each clip goes to temporary files as it comes, so the memory does not grow with the number of clips.

    Returns:
        how many tokens, mel frames and codes all clips have.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    offsets = {name: [0] for name in _ARRAYS}
    with files.writing(folder), ExitStack() as opened:
        folder.mkdir(parents=True, exist_ok=True)
        parts = {name: opened.enter_context(TemporaryFile(dir=folder)) for name in _ARRAYS}
        for one in encoded:
            for name, (kind, _) in _ARRAYS.items():
                array = getattr(one, name)
                parts[name].write(array.astype(kind, copy=False).tobytes())
                offsets[name].append(offsets[name][-1] + len(array))
        with (folder / "codes.safetensors").open("wb") as file:
            file.write(_header(offsets))
            for name in sorted(_ARRAYS):
                file.write(np.array(offsets[name], np.int64).tobytes())
            for part in parts.values():
                part.seek(0)
                shutil.copyfileobj(part, file)
    clips_file.write(folder / "clips.csv", clips)
    return {name: ends[-1] for name, ends in offsets.items()}


def _header(offsets: dict[str, list[int]]) -> bytes:
    """The beginning of the file, in the bytes that safetensors' own `save_file` writes, which needs all in memory.

    Format: https://github.com/huggingface/safetensors#format. Larger types come first, then names in their order.
    """
    shapes = {f"{name}_offsets": (np.int64, [len(offsets[name])]) for name in sorted(_ARRAYS)}
    shapes |= {name: (kind, [offsets[name][-1], *shape]) for name, (kind, shape) in _ARRAYS.items()}
    header, end = {}, 0
    for name, (type_of_items, shape) in shapes.items():
        kind, begin = np.dtype(type_of_items), end
        end += kind.itemsize * math.prod(shape)
        dtype = f"{kind.kind.upper()}{8 * kind.itemsize}"  # such as I16
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _open(path: Path, clips: int) -> dict[str, np.ndarray]:
    """Read the arrays of an encoded dataset, and check that `save` could have written them for so many clips."""
    again = "run `dvc repro -s -f encode`"
    files.need(path, again)
    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    except (SafetensorError, TypeError, ValueError):
        raise UserError(f"{path} is damaged; {again}.") from None
    for name, (kind, shape) in _ARRAYS.items():
        array, offsets = arrays.get(name), arrays.get(f"{name}_offsets")
        if array is None or offsets is None or array.dtype != kind or array.shape[1:] != shape or not array.ndim:
            raise UserError(f"{path} has no '{name}' as `encode` writes it; {again}.")
        steps = np.diff(offsets) if offsets.dtype == np.int64 and offsets.shape == (clips + 1,) else np.array([-1])
        if (steps < 0).any() or offsets[0] != 0 or offsets[-1] != len(array) or (name != "mel" and (array < 0).any()):
            raise UserError(f"{path} has '{name}' that do not fit the {clips} clips of clips.csv; {again}.")
    return arrays


class Codes:
    """An encoded dataset, opened. Clips are addressed by their position, 0 to len - 1.

    training, validation, test: positions of each side's clips, int64. References are drawn from training clips only.

    Raises UserError: a file is missing or damaged, or the two files have different numbers of clips.
    """

    def __init__(self, folder: Path):
        self.clips = clips_file.read(folder / "clips.csv")
        self._arrays = _open(folder / "codes.safetensors", len(self.clips))
        self.speakers = [clip.speaker for clip in self.clips]
        self.training, self.validation, self.test = (
            np.array([i for i, c in enumerate(self.clips) if c.split == side], np.int64) for side in SIDES
        )
        self._of_speaker = {
            name: np.array([i for i in self.training if self.speakers[i] == name], np.int64)
            for name in set(self.speakers)
        }

    def __len__(self) -> int:
        return len(self.clips)

    def _part(self, name: str, clip: int) -> np.ndarray:
        offsets = self._arrays[name + "_offsets"]
        return self._arrays[name][offsets[clip] : offsets[clip + 1]]

    def tokens(self, clip: int) -> np.ndarray:
        """Text tokens with the language tag, without START and STOP: (t,) int32."""
        return self._part("tokens", clip)

    def codes(self, clip: int) -> np.ndarray:
        """Audio codes: (m,) int16."""
        return self._part("codes", clip)

    def mel(self, clip: int) -> np.ndarray:
        """Conditioning mel: (frames, 80) float16."""
        return self._part("mel", clip)

    def training_clips_of(self, speaker: str) -> np.ndarray:
        """Positions of a speaker's training clips."""
        return self._of_speaker[speaker]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Text tokens plus audio codes of every clip, (len,). They decide how long a row of the GPT is."""
        return np.diff(self._arrays["tokens_offsets"]) + np.diff(self._arrays["codes_offsets"])

    @cached_property
    def frames(self) -> np.ndarray:
        """Number of frames of every clip's conditioning mel, (len,)."""
        return np.diff(self._arrays["mel_offsets"])
