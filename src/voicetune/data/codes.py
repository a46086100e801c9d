"""The encoded dataset: per clip its text tokens, audio codes and conditioning mel, in one file.

`codes.safetensors` holds each as one flat array with offsets; it is memory-mapped when opened.
`clips.csv` beside it is the manifest of the clips, row for row.
"""

import errno
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from voicetune import files
from voicetune.data import clip as clips_file
from voicetune.data.clip import Clip
from voicetune.data.split import SIDES

FRAMES_PER_SECOND = 22050 / 256


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
        except SafetensorError as error:  # it has the system's reason in its words alone
            raise OSError(errno.ENOSPC if "os error 28" in str(error) else 0, str(error)) from None
    clips_file.write(folder / "clips.csv", clips)


class Codes:
    """An encoded dataset, opened. Clips are addressed by their position, 0 to len - 1.

    training, validation, test: positions of each side's clips, int64. References are drawn from training clips alone.
    """

    def __init__(self, folder: Path):
        self.clips = clips_file.read(folder / "clips.csv")
        self._arrays = {}
        with safe_open(folder / "codes.safetensors", "np") as file:
            for name in file.keys():  # noqa: SIM118 - safe_open is no dictionary
                self._arrays[name] = file.get_tensor(name)
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
        """Tokens plus codes of every clip, (len,): what decides the width of a row."""
        return np.diff(self._arrays["tokens_offsets"]) + np.diff(self._arrays["codes_offsets"])

    @cached_property
    def frames(self) -> np.ndarray:
        """Frames of every clip's conditioning mel, (len,)."""
        return np.diff(self._arrays["mel_offsets"])
