"""Measure how much memory a training needs with each of the parameters that reduce it.

    python tests/full_size.py /tmp/xtts_v2            # or the published model's folder
    python bench/memory.py /tmp/xtts_v2 --batch 3     # on the clips that `make repro` encoded

Each setting runs two steps in a new process and prints one JSON line. On a GPU, the figure is the most that torch
allocated. On a CPU, it is the most that the process held during its steps, including code and libraries
(`without_model_gib`). The peak of loading the model is reset before the steps.
"""

import argparse
import ctypes
import gc
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from train_step import Nowhere

from voicetune import entry
from voicetune.data.codes import Codes
from voicetune.device import choose_device
from voicetune.errors import UserError
from voicetune.model import measured_recipe
from voicetune.params import training
from voicetune.training import loop, memory
from voicetune.training.job import Job
from voicetune.xtts import folder
from voicetune.xtts.gpt import TrainingLoss

CHECKPOINTING = {"activation_checkpointing": True}
LORA: dict[str, Any] = {"lora_rank": 16, "lora_alpha": 16.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "everything": {},
    "everything, checkpointing": CHECKPOINTING,
    "everything, checkpointing, 8-bit Adam": {**CHECKPOINTING, "optimizer": "adamw8bit"},
    "LoRA": LORA,
    "LoRA, checkpointing": {**CHECKPOINTING, **LORA},
}


def status_gib(name: str) -> float:
    """A memory figure of this process in GiB, from Linux's status file."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) / 2**20 if found else float("nan")


def forget_peak() -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def one(given: argparse.Namespace) -> None:
    device = choose_device(given.device)
    without_model = status_gib("VmRSS")
    preset = training.load("train_phase1", Path("presets/xtts_v2.yaml")).phase
    chosen = {"batch_size": given.batch, "precision": "bf16-mixed", "max_steps": given.steps, "log_every": 1}
    phase = preset.model_copy(update={**chosen, "eval_every": 10**9, "target_mel_ce": None, **SETTINGS[given.one]})
    codes = Codes(given.codes)
    codes.validation = codes.validation[:1]
    loss = TrainingLoss(folder.open_xtts(given.model).gpt)  # everything but the GPT is freed
    if phase.lora_rank is not None:
        memory.add_lora(loss, phase.lora_rank, phase.lora_alpha, seed=1)
    if phase.activation_checkpointing:
        loss.recompute_activations()
    forget_peak()
    fabric = Fabric(accelerator=device, devices=1, precision=phase.precision)
    measured, state = measured_recipe(3.0), Nowhere(Path("nowhere"))
    job = Job(loss=loss, codes=codes, phase=phase, seed=1, measured=measured, fabric=fabric, state=state)
    _, run = loop.train(job)
    on_gpu = device == "cuda"
    figures = {
        "setting": given.one, "device": torch.cuda.get_device_name() if on_gpu else "cpu", "batch": given.batch,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if on_gpu else status_gib("VmHWM"),
        "without_model_gib": 0.0 if on_gpu else without_model,
        "trained_m": sum(p.numel() for p in loss.parameters() if p.requires_grad) / 1e6,
        "seconds_a_step": run.seconds / run.step,
    }  # fmt: skip
    print(json.dumps({name: round(v, 2) if isinstance(v, float) else v for name, v in figures.items()}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--codes", type=Path, default=Path("data/codes"))
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--one", choices=SETTINGS, help="only this one, in this process")
    given = parser.parse_args()
    if given.one:
        return one(given)
    if not (given.codes / "codes.safetensors").is_file():
        raise UserError(f"{given.codes} is missing; run `make repro` first.")
    for name in SETTINGS:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--one", name], check=False)


if __name__ == "__main__":
    entry.run(main)
