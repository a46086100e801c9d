"""Disturbs a small training at random moments until it has been disturbed often enough; then looks at what came out.

    python bench/chaos.py --times 50

The same phase is trained twice on the clips that `make repro` encoded, by a GPT of 2 layers x 64: once left alone,
once disturbed and started again by hand each time, as `dvc repro` would be. A disturbance is a SIGKILL, a SIGTERM, a
SIGINT, a CUDA error raised in a step, a NaN in a step, a file system that refuses to write (a limit on the size of a
file stands in for a full disk), or a SIGKILL after which the newest checkpoint is cut in half or one bit of it is
flipped. The moments are drawn over the whole life of a process, start and end included. It fails, with status 1, if
the weights, the facts or the curve differ in one bit, or if ever a best model that had been saved was gone.
"""

import argparse
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEPS = 120
KINDS = ("kill", "terminate", "interrupt", "cuda error", "nan", "no room", "torn", "flipped")
CLOCK = ("tokens_per_second", "memory_gib")  # what no two runs share


def prepare(place: Path) -> None:
    """A model folder with a small GPT."""
    import torch

    from voicetune.xtts import folder, origins

    shutil.copytree(ROOT / "models/base", place, ignore=shutil.ignore_patterns("model.pth"))
    settings = origins.tiny_config(layers=2, width=64, heads=2, num_tokens=1024, languages=["en", "hu"])
    torch.manual_seed(3)
    torch.save({"model": folder.build(settings, folder.tokenizer(place)).state_dict()}, place / "model.pth")
    settings.save_json(str(place / "config.json"))


def train(place: Path, base: Path, kind: str, after: int) -> None:
    """One process's share of the phase, in the folder `place`; what strikes from within does so `after` steps."""
    import torch

    from voicetune import params, stage
    from voicetune.training import loop, phase

    os.chdir(place)
    os.setpgid(0, 0)
    sys.stdout = sys.stderr = open("log.txt", "a", buffering=1)  # noqa: SIM115
    torch.set_num_threads(1)
    settings = params.load(ROOT / "params.yaml")
    changes = {
        "lr": 1e-3, "max_steps": STEPS, "batch_size": 4, "eval_every": 20, "log_every": 1, "dropout": 0.1,
        "precision": "32-true", "epochs": 100,
    }  # fmt: skip
    chosen = settings.train_phase1.model_copy(update=changes)
    loop._SAVE_SECONDS = 0.5  # so that many a write can be hit
    curve: list = []
    step_of, left = loop._step, [after]

    def step(*given):
        left[0] -= 1
        if not left[0] and kind == "cuda error":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if not left[0] and kind == "nan":
            with torch.no_grad():
                next(given[1].parameters()).fill_(math.nan)
        return step_of(*given)

    loop._step = step
    if kind == "no room":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))

    def log(at: int, row: dict, _write: bool) -> None:
        curve.append([at, {name: value for name, value in row.items() if name not in CLOCK}])

    def main() -> None:
        phase.run("train_phase1", chosen, settings, base, place / "out", ROOT / "data", log)
        (place / "curve.json").write_text(json.dumps(curve))

    stage.run(main)


def damage(state: Path, kind: str) -> None:
    found = sorted(state.glob("*/step-*.pt"), key=lambda path: path.stat().st_mtime)
    if not found:
        return
    data = bytearray(found[-1].read_bytes())
    data[len(data) // 3] ^= 1
    found[-1].write_bytes(data[: len(data) // 2] if kind == "torn" else data)


def best_is_whole(state: Path) -> bool:
    """Whether a state that was saved can be had, with its best model.

    Looked at in a copy: going round a damaged state, which loading also does, is for the training to do.
    """
    from voicetune.training.checkpoint import State

    with tempfile.TemporaryDirectory() as temporary:
        for place in state.glob("train_phase1-*"):
            copied = Path(shutil.copytree(place, Path(temporary) / place.name))
            if list(copied.glob("step-*.json")) and State(copied).load() is None:
                return False
    return True


def disturbed(place: Path, base: Path, times: int, luck: random.Random, usual: float) -> Counter:
    """Train in spite of `times` disturbances, then to the end."""
    context, struck = multiprocessing.get_context("spawn"), Counter()
    while sum(struck.values()) < times:
        kind = luck.choice(KINDS)
        inside = kind in ("cuda error", "nan")
        process = context.Process(target=train, args=(place, base, kind, luck.randint(1, STEPS // 3) if inside else 0))
        process.start()
        if inside or kind == "no room":
            process.join(usual * 4)
        else:
            process.join(luck.uniform(0, usual))
        if process.is_alive():
            number = {"terminate": signal.SIGTERM, "interrupt": signal.SIGINT}.get(kind, signal.SIGKILL)
            os.kill(process.pid, number)
            process.join(60)
            if process.is_alive():
                raise SystemExit(f"a process did not end on {number}")
        if process.exitcode == 0:  # it was faster than the disturbance: begin again with another state
            shutil.rmtree(place / "out", ignore_errors=True)
            continue
        if kind in ("torn", "flipped"):
            damage(place / "state", kind)
        struck[kind] += 1
        if not best_is_whole(place / "state"):
            raise SystemExit(f"after {dict(struck)}, the last a '{kind}': the best model was lost")
        print(f"{sum(struck.values()):3d} {kind}", flush=True)
    process = context.Process(target=train, args=(place, base, "none", 0))
    process.start()
    process.join()
    return struck


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        alone, hit, base = (Path(temporary) / name for name in ("alone", "disturbed", "base"))
        alone.mkdir()
        hit.mkdir()
        prepare(base)
        started = time.monotonic()
        process = multiprocessing.get_context("spawn").Process(target=train, args=(alone, base, "none", 0))
        process.start()
        process.join()
        usual = time.monotonic() - started
        struck = disturbed(hit, base, given.times, random.Random(given.seed), usual)
        same = {
            name: (alone / name).is_file() and (hit / name).is_file()
            and (alone / name).read_bytes() == (hit / name).read_bytes()
            for name in ("out/best_model.pth", "out/voicetune.json", "curve.json")
        }  # fmt: skip
        print(json.dumps({"disturbed": sum(struck.values()), **struck, "undisturbed_seconds": round(usual, 1)}))
        print(json.dumps(same))
        if not all(same.values()):
            print((hit / "log.txt").read_text()[-2000:])
            sys.exit(1)


if __name__ == "__main__":
    main()
