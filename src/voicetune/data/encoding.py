"""Encodes the clips of a dataset with a base."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicetune import engine, families
from voicetune.data.clip import Clip
from voicetune.data.codes import Encoded
from voicetune.data.dataset import Dataset
from voicetune.params.unlisted import Unlisted

if TYPE_CHECKING:
    from voicetune.model import Encoder


class Encoding:
    """Encodes clips of the dataset in the folder `data` with a base, on `cpu` or `cuda`.

    A copy in another process opens the base again.
    """

    def __init__(self, base: Path, data: Path, device: str):
        self.base, self.data, self.device = base, data, device

    @cached_property
    def encoder(self) -> "Encoder":
        """The opened base.

        Raises:
            UserError: it is missing or damaged.
        """
        return families.encoding(self.base).open_encoder(self.base, self.device)

    def __call__(self, clip: Clip) -> Encoded:
        return self.encoder.encode(clip, Dataset(self.data).sound(clip)[0])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "encoder"}

    def encode_all(self, clips: list[Clip], settings: Unlisted) -> Iterator[Encoded]:
        """Encode clips in their order. If the engine is local, this process does it, as torch uses all cores.

        Raises:
            UserError: see `engine.map_all`.
        """
        return engine.map_all(self, clips, settings, processes=1, gpus=int(self.device == "cuda"))
