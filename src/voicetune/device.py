"""Choose the device that a stage computes on."""

import platform

from voicetune.errors import UserError

_NAMES = {"cuda": "CUDA device", "mps": "GPU of Apple"}


def choose_device(wanted: str) -> str:
    """Return `cuda`, `mps` or `cpu` for the parameter `device`. A GPU of AMD, with torch for ROCm, is `cuda` too.

    Raises:
        UserError: a GPU is asked for and there is none.
    """
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted in found and not found[wanted]:
        raise UserError(f"device is {wanted}, but no {_NAMES[wanted]} is found here; choose auto.")
    if wanted != "auto":
        return wanted
    if found["mps"] and not found["cuda"] and (fault := _fault_of_apple()):
        print(f"the CPU is used, because the GPU of Apple cannot be: {fault}")
        return "cpu"
    return next((name for name, there in found.items() if there), "cpu")


def _fault_of_apple() -> str:
    """Why the GPU of Apple cannot be used; empty if it can.

    A virtual machine may show one that has no memory. Before macOS 15.1, torch refuses sounds of more than 65,536
    samples there (Convolution.mm).
    """
    import torch

    system = tuple(int(part) for part in platform.mac_ver()[0].split(".")[:2] if part.isdigit())
    if system < (15, 1):
        return "it needs macOS 15.1 or newer"
    try:
        one = torch.ones(16, 16, device="mps")
        (one @ one).sum().item()
    except RuntimeError as error:
        return str(error).strip().split("\n")[0][:200]
    return ""
