"""Choose the device that a stage computes on."""

from voicetune.errors import UserError


def choose_device(wanted: str) -> str:
    """Return `cuda` or `cpu` for the parameter `device`.

    Raises:
        UserError: a GPU is asked for and there is none.
    """
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda, but no CUDA device is found here; set device: auto in params.yaml.")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"
