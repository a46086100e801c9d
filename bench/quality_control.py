"""Spoil a tenth of the default clips, all of training, in known ways, and count what quality control finds.

The results are in bench/quality_control.md.

    python bench/quality_control.py detect --out work/quality --seeds 5 [--other FOLDER] [--asr tiny.en]
    python bench/quality_control.py make --out work/spoiled [--clean] [--off]   # a project to train in

A spoiled clip has another clip's text, noise or a chord 10 dB below its own level, or somebody else's voice in all or
in half of it; or its last or first part is cut off, or it is clipped at a tenth of its level. The other voice is that
of `--other`, a folder in LJSpeech's layout, or else espeak-ng's. With `--off` nothing is left out, and with `--clean`
nothing is spoiled.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import yaml

from voicetune.data import audio, espeak, recordings
from voicetune.data.split import TRAIN, split

ROOT = Path(__file__).resolve().parents[1]
SOURCES = "questions", "host"
SHARE = 0.1  # of the clips, which is also the share of each side that is held out
SEED = 1  # of params.yaml
Row = list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["detect", "make"])
    parser.add_argument("--out", type=Path, required=True, help="the workplace")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--other", type=Path, help="recordings of another speaker, in LJSpeech's layout")
    parser.add_argument("--asr", help="a recogniser that reads every clip")
    parser.add_argument("--off", action="store_true", help="leave nothing out")
    parser.add_argument("--clean", action="store_true", help="spoil nothing")
    chosen = parser.parse_args()
    if chosen.what == "make":
        make_project(chosen.out, 0, chosen)
        return
    found = [row for seed in range(chosen.seeds) for row in detect(chosen.out / f"seed-{seed}", seed, chosen)]
    print(json.dumps(count(found), indent=2))


def make_project(folder: Path, seed: int, chosen: argparse.Namespace) -> dict[str, str]:
    """Make a project with spoiled recordings.

    Returns:
        how each spoiled clip was spoiled, by its id.
    """
    if folder.exists():
        raise SystemExit(f"{folder} is there already; name another folder with --out.")
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    write_params(folder / "params.yaml", chosen)
    return {} if chosen.clean else spoil_all(folder, np.random.default_rng(seed), chosen.other)


def write_params(path: Path, chosen: argparse.Namespace) -> None:
    """Set the recogniser, and take the limits out if that is wanted."""
    params = yaml.safe_load(path.read_text())
    params["quality"]["asr"] = chosen.asr
    for limits in params["quality"].values():
        if chosen.off and isinstance(limits, dict):
            limits["leave_out"] = None
    path.write_text(yaml.safe_dump(params, sort_keys=False))


def spoil_all(folder: Path, rng: np.random.Generator, other: Path | None) -> dict[str, str]:
    """Spoil a tenth of the recordings, in all ways in turn. Validation and test clips stay as they are.

    So every training is measured on the same clean clips. A wrong text is that of another training clip.
    """
    tables = {name: folder / "data/raw" / name / "metadata.csv" for name in SOURCES}
    rows = {name: [line.split("|") for line in path.read_text().splitlines()] for name, path in tables.items()}
    every = [(name, row) for name, found in rows.items() for row in found]
    sides = split([(name, row[1]) for name, row in every], SHARE, SHARE, SEED)
    all_rows = [one for one, side in zip(every, sides, strict=True) if side == TRAIN]
    chosen = rng.permutation(len(all_rows))[: round(SHARE * len(every))]
    texts = [row[1] for _, row in all_rows]
    voices, how = strangers(other, rng), {}
    for number, at in enumerate(chosen):
        name, row = all_rows[at]
        kind = KINDS[number % len(KINDS)]
        how[f"{name}-{row[0]}"] = kind
        spoil(kind, tables[name].parent / "wavs", row, rng, texts[(at + 7) % len(texts)], voices)
    for name, path in tables.items():
        path.write_text("".join("|".join(row) + "\n" for row in rows[name]))
    return how


def spoil(kind: str, folder: Path, row: Row, rng: np.random.Generator, text: str, voices: Iterator) -> None:
    """Spoil one recording, or its text. The new recording is a FLAC in the place of the old one."""
    path = next(folder.glob(f"{row[0]}.*"))
    if kind == "wrong text":
        row[1] = text
        return
    samples, rate = recordings.read(path)
    if kind == "another speaker":
        row[1], samples, rate = next(voices)(row[1])
    if kind == "a second speaker":
        half = len(samples) // 2
        _, strange, its_rate = next(voices)("Somebody else says the second half of this.")
        samples = np.concatenate([samples[:half], audio.resample(strange, its_rate, rate)[: len(samples) - half]])
    if kind == "noise":
        samples = samples + level(samples, -10) * rng.normal(0, 1, len(samples)).astype(np.float32)
    if kind == "music":
        samples = samples + level(samples, -10) * chord(len(samples), rate)
    if kind == "cut words":
        samples = cut(samples, rate, rng)
    if kind == "clipping":
        limit = 0.1 * np.abs(samples).max()
        samples = samples.clip(-limit, limit) / limit
    path.unlink()
    soundfile.write(path.with_suffix(".flac"), np.clip(samples, -1, 1), rate)


def level(samples: np.ndarray, decibels: float) -> float:
    """The root mean square of something that is so much louder than a sound."""
    return float(np.sqrt(np.square(samples).mean())) * 10 ** (decibels / 20)


def chord(length: int, rate: int) -> np.ndarray:
    """An organ's chord of A minor with four overtones each, at a root mean square of 1: (length,) float32."""
    times = np.arange(length) / rate
    tones = [np.sin(2 * np.pi * f * n * times) / n for f in (220.0, 261.6, 329.6) for n in range(1, 6)]
    total = np.sum(tones, axis=0)
    return (total / np.sqrt(np.square(total).mean())).astype(np.float32)


def cut(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Cut a sound in its middle third where it is loud, and keep the longer side."""
    third = len(samples) // 3
    size = rate // 50
    level = np.array([np.abs(samples[i : i + size]).max() for i in range(third, 2 * third, size)])
    loud = np.flatnonzero(level > np.median(np.abs(samples)) + 0.3 * level.max())
    at = third + int(rng.choice(loud)) * size + size // 2
    return samples[:at] if rng.random() < 0.5 else samples[at:]


def strangers(other: Path | None, rng: np.random.Generator) -> Iterator:
    """Functions that give a text, and its sound in another voice."""
    if other is None:
        while True:
            yield lambda text: (text, espeak.speak(text, "en-us"), espeak.SAMPLE_RATE)
    lines = [line.split("|") for line in (other / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    lines = [row for row in lines if len(row[1]) > 30]
    for at in rng.permutation(len(lines)):
        name, text = lines[at][:2]
        sound = recordings.read(next((other / "wavs").glob(f"{name}.*")))
        yield lambda _, text=text, sound=sound: (text, *sound)


KINDS = ("wrong text", "noise", "music", "another speaker", "a second speaker", "cut words", "clipping")


def detect(folder: Path, seed: int, chosen: argparse.Namespace) -> list[dict[str, str]]:
    """Run the stages prepare and quality.

    Returns:
        the rows of the table of checks, with how each clip was spoiled.
    """
    how = make_project(folder, seed, chosen)
    (folder / "data/transcripts").mkdir()
    for stage in ("transcribe", "prepare", "quality"):
        subprocess.run([sys.executable, f"src/{stage}.py"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with (folder / "data/quality/checks.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (folder / "data/clips/left_out.csv").open(encoding="utf-8") as file:
        rows += [
            {"id": row["id"], "kept": "no", "reasons": row["reason"], "warnings": ""} for row in csv.DictReader(file)
        ]
    shutil.rmtree(folder)
    return [{**row, "how": how.get(row["id"], "")} for row in rows]


def count(rows: list[dict[str, str]]) -> dict:
    """How many clips of each kind are left out or warned of, and by which checks."""
    kinds = {}
    for kind in (*KINDS, ""):
        own = [row for row in rows if row["how"] == kind]
        labels = sorted({part.split(": ")[0] for row in own for part in reasons(row, "reasons")})
        warned = sorted({part.split(": ")[0] for row in own for part in reasons(row, "warnings")})
        kinds[kind or "not spoiled"] = {
            "clips": len(own),
            "left out": sum(row["kept"] == "no" for row in own),
            "left out or warned of": sum(row["kept"] == "no" or bool(row["warnings"]) for row in own),
            "left out by": {name: sum(has(row, "reasons", name) for row in own) for name in labels},
            "warned of by": {name: sum(has(row, "warnings", name) for row in own) for name in warned},
        }
    return kinds


def reasons(row: dict[str, str], column: str) -> list[str]:
    return [part for part in row[column].split("; ") if part]


def has(row: dict[str, str], column: str, label: str) -> bool:
    return any(part.split(": ")[0] == label for part in reasons(row, column))


if __name__ == "__main__":
    main()
