"""XTTS as a model to train and to measure, see `voicetune.model.Training`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voicetune.data.codes import Codes
from voicetune.data.dataset import Dataset
from voicetune.model import Speaker
from voicetune.xtts import conditioning, folder, losses
from voicetune.xtts.gpt import TrainingLoss
from voicetune.xtts.own_encoder import OwnEncoder

close = folder.close


class Model:
    """An opened model folder. Its network is the GPT."""

    def __init__(self, path: Path):
        self.vocoder = folder.read_facts(path)["vocoder"]
        self.xtts = folder.open_xtts(path)

    @property
    def network(self) -> Any:
        return self.xtts.gpt

    @network.setter
    def network(self, gpt: Any) -> None:
        self.xtts.gpt = gpt

    def to(self, device: torch.device | str) -> "Model":
        self.xtts.to(device)
        return self

    def loss(self) -> TrainingLoss:
        return TrainingLoss(self.xtts.gpt)

    def compute_speaker(self, clips: Sequence[np.ndarray]) -> Speaker:
        return conditioning.compute_speaker(self.xtts, self.vocoder, clips)

    def mel_ce_given(self, codes: Codes, chosen: np.ndarray, clips: Sequence[np.ndarray]) -> float:
        return losses.measure_given(self.xtts, codes, chosen, conditioning.compute_latents(self.xtts, clips))

    def mel_ce_stock(self, data: Dataset, chosen: np.ndarray) -> float:
        beginnings = losses.own_beginnings(data, self.xtts.mel_stats.cpu())
        return losses.measure_stock(self.xtts, data.codes, chosen, beginnings)

    def own_encoder(self) -> OwnEncoder | None:
        """With a vocoder other than `hifigan`, the encoder's weights are not real."""
        return OwnEncoder(self.xtts) if self.vocoder == "hifigan" else None


def open_model(path: Path) -> Model:
    """Open a model folder.

    Raises:
        UserError: see `folder.read_facts` and `folder.open_xtts`.
    """
    return Model(path)
