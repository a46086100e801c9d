"""The encoded dataset: the text tokens, audio codes and conditioning mel of each clip, in one file.

`codes.safetensors` holds each of the three as one flat array with offsets. It is read into memory when opened.
`clips.csv` beside it is the manifest, with one row for each clip in the same order.
"""

import errno
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from voicetune import files
from voicetune.data import audio
from voicetune.data import clip as clips_file
from voicetune.data.clip import Clip
from voicetune.data.split import SIDES
from voicetune.errors import UserError

FRAMES_PER_SECOND = audio.SAMPLE_RATE / 256
_ARRAYS = {"tokens": (np.int32, ()), "codes": (np.int16, ()), "mel": (np.float16, (80,))}


@dataclass(frozen=True)
class Encoded:
    """One clip: tokens (t,) int32; codes (m,) int16; mel (frames, 80) float16."""

    tokens: np.ndarray
    codes: np.ndarray
    mel: np.ndarray


def save(folder: Path, clips: list[Clip], encoded: list[Encoded]) -> None:
    """Write `codes.safetensors` and `clips.csv`, one row for each clip."""
    arrays = {}
    for name in ("tokens", "codes", "mel"):
        parts = [getattr(e, name) for e in encoded]
        arrays[name] = np.concatenate(parts)
        arrays[name + "_offsets"] = np.cumsum([0] + [len(part) for part in parts]).astype(np.int64)
    folder.mkdir(parents=True, exist_ok=True)
    with files.writing(folder):
        try:
            save_file(arrays, folder / "codes.safetensors")
        except SafetensorError as error:  # it has the system's error number only in its message
            raise OSError(errno.ENOSPC if "os error 28" in str(error) else 0, str(error)) from None
    clips_file.write(folder / "clips.csv", clips)


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
