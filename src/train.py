"""Stages train_phase1 and train_phase2: codes and a parent model into a better model.

Usage: python src/train.py train_phase1 | train_phase2
"""

import sys
from contextlib import nullcontext
from pathlib import Path

from voicetune import params, stage
from voicetune.errors import UserError

PHASES = {"train_phase1": ("models/base", "models/phase1"), "train_phase2": ("models/phase1", "models/phase2")}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in PHASES:
        raise UserError("which phase? `python src/train.py train_phase1` or `python src/train.py train_phase2`.")
    settings = params.load()
    parent, out = (Path(folder) for folder in PHASES[name])
    from voicetune.training import agent, phase  # torch and the stock classes: only once the parameters are good

    chosen = getattr(settings, name)

    def work() -> None:
        with stage.curves(Path("metrics") / name) if agent.is_first() else nullcontext(lambda *_: None) as curves:
            phase.run(name, chosen, settings, parent, out, Path("data"), curves)

    halvings = agent.halvings(chosen.batch_size)
    agent.run(work, settings.devices, settings.num_nodes, settings.max_restarts, halvings)
    print(f"{out} is ready")


if __name__ == "__main__":
    stage.run(main)
