"""What a toy's folder says about itself."""

import json
from pathlib import Path
from typing import Any

import torch

from toy_model.layout import FACTS, SPEAKERS, weights_file
from toy_model.network import Network
from voicetune.model import Speaker


def read_facts(folder: Path) -> dict[str, Any]:
    return json.loads((folder / FACTS).read_text())


def usual_decoding(folder: Path) -> dict[str, Any]:
    return {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0}


def speakers(folder: Path) -> dict[str, Speaker]:
    return torch.load(folder / SPEAKERS, weights_only=True)


def open_network(folder: Path) -> Network:
    network = Network()
    network.load_state_dict(torch.load(weights_file(folder), weights_only=True))
    return network.eval()
