"""fp32 that is fp32: what is measured, and what decides a code, is not rounded to the 10 bits of TF32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_fp32(device: torch.device) -> Iterator[None]:
    """No autocast on `device`, and no TF32 in the matrix products and convolutions of a GPU, for the block.

    Source: torch, "TensorFloat-32 on Ampere devices": for convolutions TF32 is on unless somebody turns it off.
    """
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
