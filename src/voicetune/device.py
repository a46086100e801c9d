"""Choose the device that a stage computes on."""

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
    if wanted == "auto":
        return next((name for name, there in found.items() if there), "cpu")
    return wanted
