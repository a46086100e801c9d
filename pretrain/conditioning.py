"""What keeps the tiny base's conditioning alive between its stages, and in the bundle."""

import json

import common
import torch
from torch import Tensor

from voicetune.xtts import folder, origins
from voicetune.xtts.text import Tokenizer


def hearing(weights: dict[str, Tensor], params: dict) -> dict[str, Tensor]:
    """The weights with a conditioning that can learn.

    The stock perceiver has no norm before its last one. Trained for long, what comes there may overflow in fp32: its
    latents are then 0 for every reference, and so are its gradients, for good. Such a perceiver is begun anew, behind
    a gain of 0: the same latents, the same figures, but a gradient.
    """
    num_tokens = json.loads((common.BUNDLE / "dvae.json").read_text())["num_tokens"]
    torch.manual_seed(params["seed"])
    settings = origins.tiny_config(**params["gpt"], num_tokens=num_tokens, languages=["en", "hu"])
    gpt = folder.build(settings, Tokenizer(common.BUNDLE / "vocab.json")).gpt
    perceiver = gpt.conditioning_perceiver
    fresh = {f"conditioning_perceiver.{name}": value.clone() for name, value in perceiver.state_dict().items()}
    fresh["conditioning_perceiver.norm.gamma"].zero_()
    gpt.load_state_dict({name: value.half().float() for name, value in weights.items()})
    with torch.no_grad():
        latents = torch.nn.Module.eval(gpt).get_style_emb(torch.randn(1, 80, 200))
    if latents.isfinite().all() and latents.any():
        return weights
    print("the conditioning no longer hears anything: its perceiver is begun anew")
    return weights | fresh
