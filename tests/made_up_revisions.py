"""Commits of invented results: what git tracks, dvc.lock, and the objects of DVC's cache, without running DVC."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import soundfile
import yaml
from made_up import ROOT

from voicetune.measures import clip_table
from voicetune.params.models import MODELS

CACHED = {
    "prepare": ["data/clips", "metrics/prepare.json"],
    "quality": ["data/quality"],
    "base": ["models/base"],
    "train_phase1": ["metrics/train_phase1"],
    "train_phase2": ["metrics/train_phase2"],
    "ceiling": ["metrics/evaluate/recordings", "metrics/evaluate/codec"],
    "evaluate": [f"metrics/evaluate/{model}" for model in MODELS],
    "synthesize": ["data/samples"],
}
TRACKED = ["dvc.lock", "params.yaml", "src", ".gitignore", "dvc.yaml", ".dvc/config", "metrics/voice.json"]
LINES = ("Good evening.", "<b>Who</b> is it?")


def git(root: Path, *arguments: str) -> str:
    person = ("-c", "user.name=t", "-c", "user.email=t@t.invalid")
    done = subprocess.run(["git", *person, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(root: Path) -> Path:
    """An empty repository of git and DVC."""
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / ".gitignore").write_text("/.dvc/cache\n/data\n/models\n/metrics/*\n!/metrics/voice.json\n/compared\n")
    git(root, "init", "-q", "-b", "main")
    return root


def make(root: Path, lr: float = 1e-4, mel: float = 0.0, errors: int = 0, clips: str = "abc", tone: int = 20,
         code: str = "1") -> None:  # fmt: skip
    """Write results into the folder, and put them into the cache and into dvc.lock.

    Args:
        mel: is added to the mel CE of phase 2.
        errors: characters that phase 2 says wrong, more than the other models.
        clips: the ids of the test clips.
        tone: the samples of a period of what is spoken into data/samples.
        code: the text of src/train.py.
    """
    for folder in ("data", "metrics", "models", "src"):
        shutil.rmtree(root / folder, ignore_errors=True)
    made_up.results(root)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert "\nlr: 2.0e-4\n" in text
    (root / "params.yaml").write_text(text.replace("\nlr: 2.0e-4\n", f"\nlr: {lr}\n"), encoding="utf-8")
    made_up.write(root / "src/train.py", {"code": code})
    made_up.write(root / "models/base/config.json", {"base": 1})
    made_up.write(root / "metrics/voice.json", {"model": "phase2", "mel_ce": 2.0 + mel})
    for model in MODELS:
        _measure(root / "metrics/evaluate" / model, clips, mel if model == "phase2" else 0.0, f"{model}{lr}")
    said_wrong(root / "metrics/evaluate/phase2/takes.csv", errors)
    for name in ("a", "b", "c"):
        (root / "data/clips").mkdir(exist_ok=True)
        (root / f"data/clips/{name}.flac").write_bytes(name.encode())
    speak(root / "data/samples", tone)
    record(root, lr)


def _measure(folder: Path, clips: str, mel: float, weights: str) -> None:
    tokens, count = np.full(len(clips), 100.0), len(clips)
    nats = tokens * (2.0 + mel + 0.1 * np.arange(count))
    columns = {"mel_nats": nats, "mel_tokens": tokens, "text_nats": tokens, "text_tokens": tokens, "top1": tokens / 2,
               "top10": tokens / 2}  # fmt: skip
    clip_table.write(folder / "clips.csv", list(clips), columns)
    made_up.write(folder / "facts.json", {"model_sha256": weights, "data_sha256": f"data of {clips}"})


def said_wrong(path: Path, errors: int) -> None:
    """Add character errors to each take of a table."""
    lines = path.read_text().splitlines()
    at = lines[0].split(",").index("character_errors")
    rows = [line.split(",") for line in lines[1:]]
    told = [",".join([*row[:at], str(int(row[at]) + errors), *row[at + 1 :]]) for row in rows]
    path.write_text("\n".join([lines[0], *told]) + "\n")


def speak(folder: Path, tone: int) -> None:
    """Write two spoken lines and their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, _ in enumerate(LINES):
        sound = 0.1 * np.sin(np.arange(8000) / (tone + i))
        soundfile.write(folder / f"0{i}.wav", sound, 16000, subtype="PCM_16")
    rows = [{"file": f"0{i}.wav", "text": text, "language": "en", "speaker": "anna"} for i, text in enumerate(LINES)]
    (folder / "manifest.json").write_text(json.dumps(rows))


def record(root: Path, lr: float) -> None:
    """Put the results in the folder into the cache, and write dvc.lock."""
    stages: dict[str, dict[str, Any]] = {
        name: {"cmd": f"python src/{name}.py", "outs": [_kept(root, path) for path in paths]}
        for name, paths in CACHED.items()
    }
    stages["train_phase2"] |= {
        "deps": [{"path": "src/train.py", "hash": "md5", "md5": _md5((root / "src/train.py").read_bytes())}],
        "params": {"params.yaml": {"lr": lr, "seed": 1}},
    }
    stages["prepare"]["deps"] = [{"path": "data/raw", "hash": "md5", "md5": "0123456789abcdef.dir"}]
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))


def commit(root: Path, message: str) -> str:
    """Commit what a user commits; returns the hash."""
    git(root, "add", *TRACKED)
    git(root, "commit", "-qm", message)
    return git(root, "rev-parse", "HEAD")


def cached(root: Path, hash: str) -> Path:
    """The file of an object in the cache."""
    return root / ".dvc/cache/files/md5" / hash[:2] / hash[2:]


def _kept(root: Path, path: str) -> dict[str, Any]:
    place = root / path
    if place.is_file():
        return {"path": path, "hash": "md5", "md5": _put(root, place.read_bytes())}
    inside = sorted(one for one in place.rglob("*") if one.is_file())
    listed = [{"md5": _put(root, one.read_bytes()), "relpath": one.relative_to(place).as_posix()} for one in inside]
    return {"path": path, "hash": "md5", "md5": _put(root, json.dumps(listed).encode(), ".dir")}


def _put(root: Path, content: bytes, end: str = "") -> str:
    hash = _md5(content) + end
    cached(root, hash).parent.mkdir(parents=True, exist_ok=True)
    cached(root, hash).write_bytes(content)
    return hash


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
