"""Measure what saving a state costs: how long the training waits, and how long it takes until the state is on disk.

    python bench/checkpoint.py --gb 1

It saves a state of some GB (a third is weights, the rest the optimizer's moments) into a temporary folder a few times.
Every other time it also saves new best weights, as after an evaluation. It prints one JSON line for each kind: medians
in seconds, and as a share of the minute between two saves. `cpu_s` is the computing time of the process, including
hashing. The first save of each kind is left out, because it must first allocate the memory to copy into.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from voicetune.training.checkpoint import State


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured (else the system's temporary one)")
    given = parser.parse_args()
    parts = [torch.randn(int(given.gb * 1e9 / 4 / 300)) for _ in range(300)]
    weights, moments = ({str(i): part for i, part in enumerate(some)} for some in (parts[:100], parts[100:]))
    rows = []
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        state = State(Path(temporary))
        for step in range(1, 9):
            best = weights if step % 2 else None
            value = {
                "weights": weights,
                "optimizer": moments,
                "run": {"step": step},
                "best_step": step - (step + 1) % 2,
            }
            began, computed = time.monotonic(), time.process_time()
            state.save(value, best)
            held_up = time.monotonic() - began
            state.flush()
            rows.append((best is not None, held_up, time.monotonic() - began, time.process_time() - computed))
    for name, which in (("state", False), ("state and best", True)):
        chosen = [row[1:] for row in rows[2:] if row[0] is which]
        held_up, written, computed = (statistics.median(column) for column in zip(*chosen, strict=True))
        figures = {"held_up_s": held_up, "held_up_share": held_up / 60, "on_disk_s": written, "cpu_s": computed}
        print(json.dumps({"what": name, "gb": given.gb, **{k: float(f"{v:.3g}") for k, v in figures.items()}}))


if __name__ == "__main__":
    main()
