"""Makes the toy's base, `base: toy` in params.yaml, from a seed."""

import json
from pathlib import Path

import torch

from toy_model.layout import CONFIG, FACTS, SPEAKERS, WEIGHTS
from toy_model.network import Network
from voicetune import copies


def unfold(base: str, out: Path, bundle: Path) -> None:
    torch.manual_seed(1)
    with copies.whole(out, out.with_name(out.name + ".part")) as part:
        (part / CONFIG).write_text(json.dumps({"model": "toy"}))
        torch.save(Network().state_dict(), part / WEIGHTS)
        torch.save({}, part / SPEAKERS)
        (part / FACTS).write_text(json.dumps({"vocoder": "tone", "licence": "none"}))
