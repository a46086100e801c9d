"""Measure a training step: seconds, tokens a second, memory, and how far bf16 is from fp32.

    python tests/full_size.py /tmp/xtts_v2                  # or the published model's folder
    python bench/train_step.py /tmp/xtts_v2 --batch 3       # on the clips that `make repro` encoded

Prints one JSON line. It times the library's own loop, and saves nothing.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from voicetune import entry
from voicetune.data.codes import Codes
from voicetune.device import choose_device
from voicetune.model import measured_recipe
from voicetune.params import training
from voicetune.training import loop
from voicetune.training.checkpoint import State
from voicetune.training.job import Job
from voicetune.xtts import folder
from voicetune.xtts.gpt import TrainingLoss


class Nowhere(State):
    """A state that saves nothing."""

    def newest(self):
        return None

    def save(self, state, best):
        pass

    def best(self, step):
        return {}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--codes", type=Path, default=Path("data/codes"))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--precision", choices=("bf16-mixed", "32-true"), default="bf16-mixed")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    device = choose_device(given.device)
    preset = training.load("train_phase1", Path("presets/xtts_v2.yaml")).phase
    chosen = {"batch_size": given.batch, "precision": given.precision, "max_steps": given.steps, "log_every": 1}
    phase = preset.model_copy(update={**chosen, "eval_every": 10**9, "target_mel_ce": None, "warmup_steps": 0})
    codes = Codes(given.codes)
    few = codes.validation[:2]
    loss = TrainingLoss(folder.open_xtts(given.model).gpt)
    fabric = Fabric(accelerator=device, devices=1, precision=given.precision)
    loss.to(fabric.device)
    gap = precision_gap(loss, codes, few, fabric)
    codes.validation = few  # the loop also evaluates before and after; two clips are enough for that
    marks: list[float] = []
    rows: list[dict[str, float]] = []

    def log(step: int, row: dict[str, float], write: bool) -> None:
        if "run/tokens_per_second" in row:
            marks.append(time.monotonic())
            rows.append(row)

    job = Job(
        loss=loss, codes=codes, phase=phase, seed=1, measured=measured_recipe(3.0), fabric=fabric,
        state=Nowhere(Path("nowhere")), log=log,
    )  # fmt: skip
    loop.train(job)
    seconds = np.diff(marks[1:]) if len(marks) > 3 else np.diff(marks)  # the first step also allocates
    cpu = f"{platform.machine()}, {torch.get_num_threads()} threads"
    name = torch.cuda.get_device_name() if device == "cuda" else cpu
    rate = statistics.median(row["run/tokens_per_second"] for row in rows)
    figures = {
        "device": name, "parameters_m": round(sum(p.numel() for p in loss.parameters()) / 1e6, 1),
        "batch": given.batch, "precision": given.precision, "steps": given.steps,
        "seconds_a_step": round(statistics.median(seconds), 3), "tokens_per_second": round(rate),
        "memory_gib": round(max(row["run/memory_gib"] for row in rows), 2), "mel_ce_off_fp32": gap,
    }  # fmt: skip
    print(json.dumps(figures))


@torch.no_grad()
def precision_gap(loss, codes, clips, fabric) -> float:
    """Relative difference of the mel CE in the chosen precision from that in fp32, on the same clips."""
    loss.eval()
    recipe = measured_recipe(3.0)
    batch = loss.batch(codes, loss.draw(codes, clips, recipe, np.random.default_rng(0)), recipe).to(fabric.device)
    exact = loss(batch)[1].mean().item()
    with fabric.autocast():
        cast = loss(batch)[1].mean().item()
    return float(f"{(cast - exact) / exact:.2g}")


if __name__ == "__main__":
    entry.run(main)
