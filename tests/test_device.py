"""Which device is chosen on which machine."""

import pytest
import torch

from voicetune.device import choose_device
from voicetune.errors import UserError


def there_are(monkeypatch, devices: tuple[str, ...]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in devices)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in devices)


@pytest.mark.parametrize(
    ("wanted", "devices", "chosen"),
    [
        ("auto", (), "cpu"), ("auto", ("mps",), "mps"), ("auto", ("cuda",), "cuda"), ("auto", ("cuda", "mps"), "cuda"),
        ("cpu", ("cuda", "mps"), "cpu"), ("mps", ("mps",), "mps"), ("cuda", ("cuda",), "cuda"),
    ],
)  # fmt: skip
def test_the_device(monkeypatch, wanted, devices, chosen):
    there_are(monkeypatch, devices)
    assert choose_device(wanted) == chosen


@pytest.mark.parametrize(("wanted", "name"), [("cuda", "CUDA device"), ("mps", "GPU of Apple")])
def test_a_device_that_is_not_there_is_refused(monkeypatch, wanted, name):
    there_are(monkeypatch, ())
    told = f"^device is {wanted}, but no {name} is found here; choose auto.$"
    with pytest.raises(UserError, match=told):
        choose_device(wanted)
