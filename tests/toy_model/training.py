"""The toy as a model to train and to measure."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toy_model import folder
from toy_model.encoding import mel_of
from toy_model.layout import CONFIG, FACTS, SPEAKERS, WEIGHTS
from toy_model.network import Drawn, ToyLoss, voice_of
from voicetune.data.codes import Codes
from voicetune.data.dataset import Dataset
from voicetune.model import Recipe, Speaker


class Model:
    vocoder = "tone"

    def __init__(self, path: Path):
        self.network: Any = folder.open_network(path)

    def to(self, device: torch.device | str) -> Any:
        self.network.to(device)

    def loss(self) -> ToyLoss:
        return ToyLoss(self.network)

    def compute_speaker(self, clips: Sequence[np.ndarray]) -> Speaker:
        return {"voice": torch.from_numpy(voice_of(mel_of(np.concatenate(list(clips)))))}

    @torch.no_grad()
    def mel_ce_given(self, codes: Codes, chosen: np.ndarray, clips: Sequence[np.ndarray]) -> float:
        loss, voice = self.loss().eval(), self.compute_speaker(clips)["voice"].numpy()
        batch = loss.batch(codes, Drawn(chosen, np.repeat(voice[None], len(chosen), 0)), Recipe())
        return float(loss(batch)[1].mean())

    def mel_ce_stock(self, data: Dataset, chosen: np.ndarray) -> float:
        """It has no other trainer, so this is the mel CE in a voice of silence."""
        return self.mel_ce_given(data.codes, chosen, [np.zeros(1024, np.float32)])

    def own_encoder(self) -> None:
        return None


def open_model(path: Path) -> Model:
    return Model(path)


def close(out: Path, parent: Path, weights: dict, voices: dict[str, Speaker], facts: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(parent / CONFIG, out / CONFIG)
    torch.save(weights, out / WEIGHTS)
    torch.save(voices, out / SPEAKERS)
    (out / FACTS).write_text(json.dumps({**folder.read_facts(parent), "facts": facts}))
