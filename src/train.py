"""Stages train_phase1 and train_phase2: fine-tune a parent model on the encoded clips.

Usage: python src/train.py train_phase1 | train_phase2
"""

import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from voicetune import entry, run_notes
from voicetune.curves import open_curves
from voicetune.errors import UserError
from voicetune.params import reading, training
from voicetune.params.choosing import Choice
from voicetune.params.training import TrainStage
from voicetune.params.unlisted import Unlisted

FOLDERS = {"train_phase1": ("models/base", "models/phase1"), "train_phase2": ("models/phase1", "models/phase2")}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in FOLDERS:
        raise UserError("which phase? `python src/train.py train_phase1` or `python src/train.py train_phase2`.")
    settings, max_restarts = training.load(name), reading.load(Unlisted).max_restarts
    choice = Path("data/choice") / f"{name}.json"
    chosen = reading.check(Choice, reading.read_yaml(choice), choice)
    parent, out = (Path(folder) for folder in FOLDERS[name])
    from voicetune import readiness  # no dep: it checks what the run will need, and changes no result

    wait_until_ready = readiness.ask(name) if entry.is_first() else lambda: None
    from voicetune.training import agent, phase  # torch and stock classes load slowly: parameters are checked first

    wait_until_ready()
    work = partial(train, name, settings, chosen, parent, out, phase.count_steps_before(name, parent))
    halvings = agent.halvings(settings.phase.batch_size)
    agent.run(work, settings.devices, settings.num_nodes, max_restarts, halvings)
    print(f"{out} is ready")


def train(name: str, settings: TrainStage, choice: Choice, parent: Path, out: Path, steps_before: int) -> None:
    """Train in this process. It is a function of the module, so that a new process can import it."""
    from voicetune.data.dataset import Dataset
    from voicetune.training import phase

    folder = Path("metrics") / name
    with open_curves(folder, steps_before) if entry.is_first() else nullcontext(lambda *_: None) as curves:
        restarts = phase.run(name, settings, choice, parent, out, Dataset(Path("data")), curves)
    if entry.is_first():
        run_notes.add(name, {"restarts": restarts})


if __name__ == "__main__":
    entry.run(main)
