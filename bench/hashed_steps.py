"""Runs a stage script, and writes a hash of the weights after each optimizer step. compare_losses.py starts it.

    python bench/hashed_steps.py hashes.txt src/train.py train_phase1

torch calls the hook after a step of any optimizer. So this works with every revision of the training's code.
"""

import hashlib
import runpy
import sys
from pathlib import Path

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook


def note(optimizer: torch.optim.Optimizer, out: Path) -> None:
    """Append the SHA-256 of an optimizer's parameters, in their order, as a line."""
    digest = hashlib.sha256()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    with out.open("a", encoding="ascii") as file:
        file.write(digest.hexdigest() + "\n")


if __name__ == "__main__":
    hashes, *command = sys.argv[1:]
    register_optimizer_step_post_hook(lambda optimizer, *_: note(optimizer, Path(hashes)))
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")
