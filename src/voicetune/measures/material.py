"""What a measure may use besides a take: the dataset, the sentences, and the model's own speaker encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from voicetune.data.clip import Clip
from voicetune.data.codes import Codes

if TYPE_CHECKING:
    from voicetune.model import VoiceEncoder


@dataclass(frozen=True)
class Material:
    """clips: the folder of the recordings. said: the sentences that are measured, each once. own: the model's own
    speaker encoder, if it has one."""

    codes: Codes
    clips: Path
    said: Sequence[Clip]
    own: "VoiceEncoder | None" = None

    @property
    def speakers(self) -> list[str]:
        """The names of those who say the sentences, sorted."""
        return sorted({clip.speaker for clip in self.said})

    def recording(self, clip: Clip) -> tuple[np.ndarray, int]:
        """The recording of a sentence: (samples,) float32, and its rate in Hz."""
        return soundfile.read(self.clips / clip.file, dtype="float32")
