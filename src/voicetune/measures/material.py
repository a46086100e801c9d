"""What a measure may use besides a take: the dataset, the sentences, and the model's own speaker encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicetune.data.clip import Clip
from voicetune.data.dataset import Dataset

if TYPE_CHECKING:
    from voicetune.model import VoiceEncoder


@dataclass(frozen=True)
class Material:
    """clips: the sentences that are measured, each once. own: the model's own speaker encoder, if it has one."""

    data: Dataset
    clips: Sequence[Clip]
    own: "VoiceEncoder | None" = None

    @property
    def speakers(self) -> list[str]:
        """The names of those who say the sentences, sorted."""
        return sorted({clip.speaker for clip in self.clips})
