"""Which device is chosen on which machine."""

import pytest
import torch

from voicetune.device import choose_device
from voicetune.errors import UserError


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        ("auto", (), "cpu"), ("auto", ("mps",), "mps"), ("auto", ("cuda",), "cuda"), ("auto", ("cuda", "mps"), "cuda"),
        ("cpu", ("cuda", "mps"), "cpu"), ("mps", ("mps",), "mps"), ("cuda", ("cuda",), "cuda"),
        ("cuda", ("mps",), "device is cuda, but no CUDA device is found here; set device: auto in params.yaml."),
        ("mps", (), "device is mps, but no GPU of Apple is found here; set device: auto in params.yaml."),
    ],
)  # fmt: skip
def test_the_device(monkeypatch, wanted, there, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    try:
        assert choose_device(wanted) == chosen
    except UserError as error:
        assert str(error) == chosen
