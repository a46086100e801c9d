"""Adds a watermark to speech, and finds it again, with Perth (the package resemble-perth, MIT, weights inside).

The watermark is a quiet sound below 2 kHz that a network derives from the speech, so that the speech masks it. It
carries no message. A second network says how sure it is that a sound bears the watermark.
"""

import functools
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from voicetune.data import audio
from voicetune.errors import UserError

NAME = "perth"
CONFIDENT = 0.75  # from here on a sound counts as watermarked, see bench/watermark.md
_RATE = 32_000  # Hz, what the networks learned
_HOP = 320  # samples between two frames of its spectrogram
_MARGIN = 5 * _HOP  # zeros after a sound, because half a window of the spectrogram must fit into it
_MISSING = (
    "a watermark needs the package resemble-perth, which is not installed; run"
    " `pip install -c requirements.lock resemble-perth==1.0.1`."
)


def add(sound: np.ndarray, rate: int) -> np.ndarray:
    """Add the watermark to speech: (samples,) float32 at `rate` Hz, in and out.

    Only the difference that the network makes is resampled, so the speech itself stays as it is.

    Raises:
        UserError: the package is missing.
    """
    import torch

    networks, high = open_networks(), _at_its_rate(sound, rate)
    with torch.inference_mode():
        mark = networks.apply_watermark(high, sample_rate=_RATE) - high
    return (sound + audio.resample(mark, _RATE, rate)[: len(sound)]).astype(np.float32)


def find(sound: np.ndarray, rate: int) -> float:
    """How sure it is, from 0 to 1, that a sound, (samples,) float32 at `rate` Hz, bears the watermark.

    Raises:
        UserError: the package is missing.
    """
    import torch

    with torch.inference_mode():
        sure = float(open_networks().get_watermark(_at_its_rate(sound, rate), sample_rate=_RATE, round=False))
    return 0.0 if math.isnan(sure) else sure  # of silence: the network averages over no frames


def _at_its_rate(sound: np.ndarray, rate: int) -> np.ndarray:
    """A sound at the networks' rate, with zeros after it up to a whole number of frames."""
    high = audio.resample(sound, rate, _RATE)
    return np.pad(high, (0, -len(high) % _HOP + _MARGIN)).astype(np.float32)


@functools.cache
def open_networks() -> Any:
    """Open Perth's networks, once, on the CPU.

    The package's own loader calls torch.load without weights_only, so that it depends on torch's version and on an
    environment variable whether its pickle may run code. Here its file is read as tensors only.

    Raises:
        UserError: the package is missing.
    """
    import torch
    import yaml

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package asks setuptools where its files are, which warns
            from perth.perth_net import PREPACKAGED_MODELS_DIR
            from perth.perth_net.perth_net_implicit.config import PerthConfig
            from perth.perth_net.perth_net_implicit.model.perth_net import PerthNet
            from perth.perth_net.perth_net_implicit.perth_watermarker import PerthImplicitWatermarker
    except ImportError:
        raise UserError(_MISSING) from None
    folder = Path(PREPACKAGED_MODELS_DIR) / "implicit"
    settings = yaml.safe_load((folder / "hparams.yaml").read_text(encoding="utf-8"))
    network = PerthNet(PerthConfig(**settings))
    weights = torch.load(folder / "perth_net_250000.pth.tar", map_location="cpu", weights_only=True)["model"]
    network.load_state_dict(weights)
    return PerthImplicitWatermarker(run_name=None, perth_net=network.eval())
