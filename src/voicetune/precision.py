"""Full fp32, so that measurements and the choice of audio codes are not rounded to the 10 bits of TF32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_fp32(device: torch.device) -> Iterator[None]:
    """Within the block, turn off autocast on `device`, and TF32 in a GPU's matrix products and convolutions.

    Source: torch, "TensorFloat-32 on Ampere devices": TF32 is on by default for convolutions.
    """
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
