"""Disturb a small training at random moments, and check that it ends with the same bytes as an undisturbed one.

    python bench/chaos.py --times 50

A GPT of 2 layers and width 64 is trained twice in the same phase on the clips that `make repro` encoded: once
undisturbed, once disturbed. A disturbance hits the stage (SIGKILL, SIGTERM, SIGINT), its training process (SIGKILL, a
CUDA error or a NaN in its next step), or the disk. The disk is filled during the training, or the stage is killed and
its newest checkpoint is cut in half or has one bit flipped. The moments are drawn over the whole life of a stage,
including its start and end. If the stage does not recover by itself, it ends and is started again, as by `dvc repro`.
The state is in a small file system, if one can be mounted (as root). Otherwise the disk is not filled. The script ends
with status 1 if a file of the model folder or the curve differs in one bit from the undisturbed one, or if a saved best
model was ever lost.
"""

import argparse
import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from voicetune import entry
from voicetune.data.dataset import Dataset
from voicetune.params import reading, training
from voicetune.params.choosing import Choice
from voicetune.params.unlisted import Unlisted
from voicetune.training import agent, loop, phase
from voicetune.training.attempts import Attempts
from voicetune.training.checkpoint import State
from voicetune.xtts import folder, origins

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("kill", "kill worker", "terminate", "interrupt", "cuda error", "nan", "full disk", "torn", "flipped")
_DISK_BYTES = 200_000_000


def small_base(place: Path, parent: Path) -> None:
    """A model folder with a small GPT."""
    shutil.copytree(parent, place, ignore=shutil.ignore_patterns("model.pth"))
    settings = origins.tiny_config(layers=2, width=64, heads=2, num_tokens=1024, languages=["en", "hu"])
    torch.manual_seed(3)
    torch.save({"model": folder.build(settings, folder.open_tokenizer(place)).state_dict()}, place / "model.pth")
    settings.save_json(str(place / "config.json"))


def train(place: Path, base: Path, data: Path, steps: int) -> None:
    """Run the stage's process in the folder `place`."""
    os.chdir(place)
    os.setpgid(0, 0)
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
    settings = training.load("train_phase1", ROOT / "params.yaml")
    changes = {
        "lr": 1e-3, "max_steps": steps, "batch_size": 4, "eval_every": 20, "log_every": 1, "dropout": 0.1,
        "precision": "32-true", "epochs": 100, "reference_seconds": (0.4, 0.6), "shared_reference": False,
    }  # fmt: skip
    chosen = settings.phase.model_copy(update=changes)
    settings = settings.model_copy(update={"phase": chosen})
    restarts = reading.load(Unlisted, ROOT / "params.yaml").max_restarts
    by_mel_ce = Choice(select="mel_ce", sentences=None, asr=None, decoding=None, code=None)
    loop._SAVE_SECONDS = 0.5  # so that many disturbances hit a write

    def work() -> None:
        curve: list = []

        def log(at: int, row: dict, _write: bool) -> None:
            if kept := {name: value for name, value in row.items() if not name.startswith("run/")}:
                curve.append([at, kept])

        setattr(phase, "Attempts", Struck)  # noqa: B010 - in the place of a class
        restarts_made = phase.run("train_phase1", settings, by_mel_ce, base, place / "out", Dataset(data), log)
        (place / "curve.json").write_text(json.dumps(curve))
        (place / "told.json").write_text(json.dumps(restarts_made))

    entry.run(lambda: agent.run(work, 1, 1, restarts, agent.halvings(chosen.batch_size)))


class Struck(Attempts):
    """Checks before each step whether a file `strike` asks for a fault. loss: weights that get a NaN."""

    loss: torch.Tensor

    def at(self, step: int) -> None:
        super().at(step)
        (self.folder / "worker").write_text(str(os.getpid()))
        if Path("strike").exists():
            kind = Path("strike").read_text()
            Path("strike").unlink()
            if kind == "cuda error":
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            Struck.loss.fill_(math.nan)


def remember_weights() -> None:
    """Keep the training's weights in `Struck.loss`, so that `Struck` can put a NaN into them."""
    made = phase._open_loss

    def opened(*arguments):
        loss = made(*arguments)
        Struck.loss = next(loss.parameters()).data
        return loss

    phase._open_loss = opened


def damage(state: Path, kind: str) -> None:
    found = sorted(state.glob("*/step-*.pt"), key=lambda path: path.stat().st_mtime)
    if found:
        data = bytearray(found[-1].read_bytes())
        data[len(data) // 3] ^= 1
        found[-1].write_bytes(data[: len(data) // 2] if kind == "torn" else data)


def best_is_whole(state: Path, damaged: bool) -> bool:
    """Whether a saved state with its best model can be loaded.

    It is loaded from a copy, because loading also removes a damaged state, and the training has to do that itself.

    Args:
        damaged: whether the newest state was damaged. Then only an older state can be loaded, if there is one.
    """
    with tempfile.TemporaryDirectory() as temporary:
        for place in state.glob("train_phase1-*"):
            copied = Path(shutil.copytree(place, Path(temporary) / place.name))
            saved = len(list(copied.glob("step-*.json")))
            if saved > damaged and State(copied).newest() is None:
                return False
    return True


def strike(process, place: Path, kind: str, luck: random.Random) -> None:
    """Disturb a running stage. Return when it has ended, or at once if it should recover by itself."""
    signals = {"terminate": signal.SIGTERM, "interrupt": signal.SIGINT}
    if kind in ("cuda error", "nan"):
        (place / "strike").write_text(kind)
    elif kind == "kill worker":
        for found in place.glob("state/*/worker"):
            with_process(int(found.read_text() or 0), signal.SIGKILL)
    elif kind == "full disk":
        filled = place / "state" / "filled"
        with filled.open("wb") as file:
            free = shutil.disk_usage(place / "state").free
            file.write(bytes(max(0, free - luck.randrange(4_000_000))))
        process.join(10)
        filled.unlink()
    else:
        os.kill(process.pid, signals.get(kind, signal.SIGKILL))
        process.join(60)
        if process.is_alive():
            raise SystemExit(f"a stage did not end on '{kind}'")
        if kind in ("torn", "flipped"):
            damage(place / "state", kind)


def with_process(number: int, what: signal.Signals) -> None:
    try:
        if number:
            os.kill(number, what)
    except ProcessLookupError:
        pass


def disturbed(place: Path, given: tuple, times: int, kinds: list[str], luck: random.Random, usual: float) -> Counter:
    """Train with `times` disturbances, then to the end. Count the disturbances and the starts of the stage."""
    counts: Counter = Counter()
    process = None
    while sum(counts[kind] for kind in kinds) < times or process is None or process.exitcode != 0:
        if process is None or not process.is_alive():
            if process is not None and process.exitcode == 0:  # it ended before it was disturbed, so train again
                shutil.rmtree(place / "out")
            process = started(place, *given)
            counts["started"] += 1
        if sum(counts[kind] for kind in kinds) >= times:
            process.join()
            continue
        process.join(luck.uniform(0, usual))
        if not process.is_alive():
            continue
        kind = luck.choice(kinds)
        strike(process, place, kind, luck)
        counts[kind] += 1
        if not process.is_alive() and not best_is_whole(place / "state", kind in ("torn", "flipped")):
            raise SystemExit(f"after {dict(counts)}, the last a '{kind}': the best model was lost")
        print(f"{sum(counts[kind] for kind in kinds):3d} {kind}", flush=True)
    return counts


def started(place: Path, base: Path, data: Path, steps: int):
    process = multiprocessing.get_context("fork").Process(target=train, args=(place, base, data, steps))
    process.start()
    return process


@contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """Mount a small file system at `place`. Yields False if none can be mounted."""
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "voicetune-chaos", str(place)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def compare(where: Path, base: Path, data: Path, times: int, seed: int, steps: int) -> tuple[dict, dict]:
    """Train undisturbed and disturbed in two folders of `where`. Return what happened and which files are equal."""
    torch.set_num_threads(1)  # forking with threads is unsafe, and such a small model gains nothing from two
    remember_weights()
    alone, hit = where / "alone", where / "disturbed"
    alone.mkdir()
    began = time.monotonic()
    started(alone, base, data, steps).join()
    usual = time.monotonic() - began
    with small_disk(hit / "state") as mounted:
        kinds = [kind for kind in KINDS if mounted or kind != "full disk"]
        counts = disturbed(hit, (base, data, steps), times, kinds, random.Random(seed), usual)
    names = ["curve.json", *sorted({f"out/{path.name}" for side in (alone, hit) for path in (side / "out").iterdir()})]
    same = {name: read(alone / name) == read(hit / name) for name in names}
    told = len(json.loads((hit / "told.json").read_text()))
    happened = {"disturbed": times, **counts, "told by the last training": told, "undisturbed_seconds": round(usual, 1)}
    return happened, same


def read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--base", type=Path, default=ROOT / "models/base", help="gives the small GPT its vocabulary")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="holds clips and codes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "base"
        small_base(base, given.base)
        happened, same = compare(Path(temporary), base, given.data.resolve(), given.times, given.seed, given.steps)
        print(json.dumps(happened))
        print(json.dumps(same))
        if not all(same.values()):
            print((Path(temporary) / "disturbed/log.txt").read_text()[-2000:])
            sys.exit(1)


if __name__ == "__main__":
    main()
