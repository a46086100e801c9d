"""Which device is chosen on which machine."""

import pytest
import torch

from voicetune import device
from voicetune.device import choose_device
from voicetune.errors import UserError


def there_are(monkeypatch, devices: tuple[str, ...]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in devices)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in devices)
    monkeypatch.setattr(device, "_fault_of_apple", lambda: "")


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


@pytest.mark.parametrize(
    ("system", "told"),
    [("14.7.1", "it needs macOS 15.1 or newer"), ("15.0", "macOS 15.1"), ("15.1.1", "GPU of Apple cannot be: ")],
)
def test_a_gpu_of_apple_that_cannot_be_used_is_not_chosen(monkeypatch, capsys, system, told):
    """Here torch has no code for it at all, as a virtual machine has no memory for it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(device.platform, "mac_ver", lambda: (system, ("", "", ""), "arm64"))
    assert choose_device("auto") == "cpu"
    assert told in capsys.readouterr().out
    assert choose_device("mps") == "mps", "who asks for it gets torch's own error"


@pytest.mark.parametrize(("wanted", "name"), [("cuda", "CUDA device"), ("mps", "GPU of Apple")])
def test_a_device_that_is_not_there_is_refused(monkeypatch, wanted, name):
    there_are(monkeypatch, ())
    told = f"^device is {wanted}, but no {name} is found here; choose auto.$"
    with pytest.raises(UserError, match=told):
        choose_device(wanted)
