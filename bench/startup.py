"""Measure how long a training takes until its first step, and how long its bare imports take.

    python bench/startup.py            # after `make repro`

It runs two processes in turn, three times each. The first imports torch, Fabric and the GPT's classes, and ends. The
second is stage `train_phase1` in a new folder: `ready` is the time until it has read clips and model and is about to
evaluate the parent, and `stepping` the time until it is about to take its first step. Prints the medians in seconds as
one JSON line.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BARE = "import torch, lightning_fabric, TTS.tts.layers.xtts.gpt"


def bare() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", BARE], check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def started(data: Path) -> tuple[float, float]:
    """Seconds until the first evaluation, and until the first step."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        for name in ("data", "models"):
            (place / name).symlink_to((data / name).resolve())
        for name in ("src", "params.yaml"):
            (place / name).symlink_to(ROOT / name)
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "src/train.py", "train_phase1"], cwd=place, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        ready = since(began, place, "at")
        stepping = since(began, place, "step-0.json")  # written after the evaluation of the parent
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(place / "state", ignore_errors=True)
        return ready, stepping


def since(began: float, place: Path, name: str) -> float:
    while not list(place.glob(f"state/*/{name}")):
        if time.monotonic() - began > 300:
            sys.exit("the training did not begin; run `make repro` first.")
        time.sleep(0.02)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--made", type=Path, default=ROOT, help="the folder that has data/ and models/base")
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    rows = [(bare(), *started(given.made)) for _ in range(given.times)]
    imports, ready, stepping = (round(statistics.median(column), 2) for column in zip(*rows, strict=True))
    print(json.dumps({"bare_imports": imports, "ready": ready, "stepping": stepping}))


if __name__ == "__main__":
    main()
