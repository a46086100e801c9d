"""Measure the stages prepare and encode on many clips: seconds, and the memory of all their processes together.

    python bench/size.py /tmp/size --clips 1000 3000 10000 --stages prepare
    python bench/size.py /tmp/size --clips 1000 3000 10000 --stages encode --base models/base

The clips are the default ones of at most LONGEST seconds, again and again, each at another speed and gain, with a
little noise and with a text of its own, as 16-bit WAV at 44.1 kHz in LJSpeech's layout. They are made once and kept in
the folder. Each stage runs as `dvc repro` runs it. The command prints a line of JSON for each stage and number of
clips. `engine: ray` and other values of params.yaml are set by `--set engine=ray`.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import soundfile
import soxr
import yaml

from voicetune import entry
from voicetune.data import clip, recordings
from voicetune.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
RATE = 44100
LONGEST = 6.9  # seconds: 10,000 of such clips are 18 hours
SPEEDS, GAINS, NOISE = (0.9, 1.1), (0.3, 1.0), 0.0003  # the noise is 70 dB below full scale
RAW = Path("data/raw/many")
OUT = {"prepare": Path("data/clips"), "quality": Path("data/quality"), "encode": Path("data/codes")}


class Origin(NamedTuple):
    """A default clip: its sound and its text."""

    path: Path
    text: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the workplace")
    parser.add_argument("--clips", type=int, nargs="+", default=[10000])
    parser.add_argument("--stages", nargs="+", choices=list(OUT), default=list(OUT))
    parser.add_argument("--base", type=Path, default=Path("models/base"), help="the model that encodes")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values at the top of params.yaml")
    given = parser.parse_args()
    if "encode" in given.stages and not given.base.is_dir():
        raise UserError(f"{given.base} is no folder; give the folder of a model as --base.")
    link(given.base, given.folder)
    rows = make(given.folder, max(given.clips))
    for count in given.clips:
        (given.folder / RAW / "metadata.csv").write_text("".join(rows[:count]), encoding="utf-8")
        write_params(given.folder, dict(one.split("=", 1) for one in given.set))
        for stage in given.stages:
            print(json.dumps({"stage": stage, "clips": count, **measure(given.folder, stage)}), flush=True)


def link(base: Path, folder: Path) -> None:
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "models/base").unlink(missing_ok=True)
    (folder / "models/base").symlink_to(base.resolve())


def make(folder: Path, count: int) -> list[str]:
    """Write the recordings that are not there yet, and return the rows of metadata.csv."""
    origins = list(default_clips())
    chosen = [origins[i % len(origins)] for i in range(count)]
    wavs = folder / RAW / "wavs"
    wavs.mkdir(parents=True, exist_ok=True)
    paths = [wavs / f"{i:06d}.wav" for i in range(count)]
    missing = [i for i in range(count) if not paths[i].exists()]
    if missing:
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            sounds = [chosen[i].path for i in missing]
            list(pool.map(change, sounds, [paths[i] for i in missing], missing, chunksize=16))
    return [f"{path.stem}|Take {i}. {one.text}\n" for i, (path, one) in enumerate(zip(paths, chosen, strict=True))]


def default_clips() -> Iterator[Origin]:
    """The short ones of the default clips."""
    for folder in (ROOT / "data/raw/questions", ROOT / "data/raw/host"):
        for row in (folder / "metadata.csv").read_text(encoding="utf-8").splitlines():
            id, text = row.split("|")
            path = folder / "wavs" / f"{id}.opus"
            if soundfile.info(path).duration <= LONGEST:
                yield Origin(path, text)


def change(path: Path, out: Path, seed: int) -> None:
    """Write a clip at another speed and gain, with noise. It is complete or not there."""
    rng = np.random.default_rng(seed)
    samples, rate = recordings.read(path)
    samples = soxr.resample(samples, rate * rng.uniform(*SPEEDS), RATE) * rng.uniform(*GAINS)
    samples += NOISE * rng.standard_normal(len(samples), np.float32)
    part = out.with_suffix(".part")
    soundfile.write(part, np.clip(samples, -1, 1), RATE, "PCM_16", format="WAV")
    part.rename(out)


def write_params(folder: Path, values: dict[str, str]) -> None:
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    source = {"name": "many", "reader": "ljspeech", "path": str(RAW), "speaker": "quizmaster", "language": "en"}
    settings["prepare"]["sources"] = [source]
    for limits in settings["quality"].values():  # the clips are copies of a few
        if isinstance(limits, dict):
            limits["leave_out"] = None
    settings |= {key: yaml.safe_load(value) for key, value in values.items()}
    (folder / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def measure(folder: Path, stage: str) -> dict:
    """Run a stage, and watch the memory of its processes."""
    begun, own, whole = time.monotonic(), cpu_seconds(), machine_seconds()
    with subprocess.Popen([sys.executable, str(ROOT / "src" / f"{stage}.py")], cwd=folder, stdout=sys.stderr) as run:
        most = {"PSS": 0, "RSS": 0, "one": 0}
        while run.poll() is None:
            for name, now in memory(psutil.Process(run.pid)).items():
                most[name] = max(most[name], now)
            time.sleep(0.5)
    if run.returncode:
        raise UserError(f"stage {stage} failed; see above.")
    seconds, own, whole = time.monotonic() - begun, cpu_seconds() - own, machine_seconds() - whole
    audio = sum(one.seconds for one in clip.read(folder / OUT[stage] / "clips.csv"))
    return {
        "hours": round(audio / 3600, 2),
        "seconds": round(seconds, 1),
        "times_real_time": round(audio / seconds),
        "cpu_seconds": round(own, 1),
        "other_cpu_seconds": round(max(0.0, whole - own), 1),
        "MiB": {name: round(bytes_ / 2**20) for name, bytes_ in most.items()},
        "sha256": digest(folder / OUT[stage]),
    }


def cpu_seconds() -> float:
    """What this process and its ended children have used."""
    return sum(sum(resource.getrusage(of)[:2]) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def machine_seconds() -> float:
    """What all processes of this machine have used. If much of it is others', a measurement is worth little."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system


def memory(process: psutil.Process) -> dict[str, int]:
    """Bytes of a process and all below it: shared pages counted once (PSS) or in each (RSS), and the largest PSS."""
    found = []
    try:
        for one in (process, *process.children(recursive=True)):
            info = one.memory_full_info()
            found.append((info.pss, info.rss))
    except psutil.NoSuchProcess:  # it has just ended
        pass
    return {
        "PSS": sum(pss for pss, _ in found), "RSS": sum(rss for _, rss in found),
        "one": max((pss for pss, _ in found), default=0),
    }  # fmt: skip


def digest(folder: Path) -> str:
    """A hash of all files in a folder, with their names."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:16]


if __name__ == "__main__":
    entry.run(main)
