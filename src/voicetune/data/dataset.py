"""The dataset of a project: the recordings that stage prepare cleaned, and what stage encode made of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from voicetune import files
from voicetune.data import audio
from voicetune.data.clip import Clip
from voicetune.data.codes import Codes


@dataclass(frozen=True)
class Dataset:
    """A folder with the recordings in `clips` and the encoded clips in `codes`. A file is read when it is needed."""

    folder: Path

    @cached_property
    def codes(self) -> Codes:
        """The encoded clips, with their speakers and sides. See `Codes` for the errors."""
        return Codes(self.folder / "codes")

    def codes_sha256(self) -> str:
        """SHA-256 of the encoded clips, which names the dataset in results."""
        return files.sha256(self.folder / "codes" / "codes.safetensors")

    def sound(self, clip: Clip) -> tuple[np.ndarray, int]:
        """The recording of a clip: (samples,) float32, and its rate in Hz, which is 22,050 for all clips.

        Raises:
            UserError: the file is missing, or is not an audio file.
        """
        return audio.read(self.folder / "clips" / clip.file, "make it again with `dvc repro prepare`")

    def sounds(self, chosen: Iterable[int]) -> list[np.ndarray]:
        """The recordings of clips, given by their positions in `codes`: each (samples,) float32."""
        return [self.sound(self.codes.clips[i])[0] for i in chosen]
