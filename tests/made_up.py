"""Invented results of a small pipeline, in the files that the stages write."""

import json
import shutil
from pathlib import Path

import numpy as np

from voicetune.data.split import SIDES
from voicetune.measures import table, takes
from voicetune.measures.compared import ROWS
from voicetune.measures.takes import Take
from voicetune.params.models import MODELS
from voicetune.report import inputs

ROOT = Path(__file__).resolve().parent.parent
TEXTS = {"a": "Is 1 < 2?", "b": "Said & done."}


def change(difference: float, half: float) -> dict:
    """An entry of metrics/compare/changes.json. Its interval reaches `half` to either side."""
    low, high = difference - half, difference + half
    return {"from": 2.0, "to": 2.0 + difference, "difference": difference, "relative": difference / 2, "low": low,
            "high": high, "excludes_zero": low > 0 or high < 0}  # fmt: skip


def results(root: Path) -> Path:
    """Write the invented results into a folder and return the folder."""
    (root / "data/quality").mkdir(parents=True)
    shutil.copyfile(ROOT / "params.yaml", root / "params.yaml")
    (root / "data/quality/clips.csv").write_text(
        "id,file,text,language,speaker,source,seconds,split\n"
        "a,a.flac,Yes,en,anna,one,2.0,train\nb,b.flac,No <b>,en,anna,one,3.0,validation\n"
        "c,c.flac,Perhaps,en,anna,one,4.0,test\n"
    )
    write(root / "metrics/prepare.json", {
        "clips": 3, "minutes": 0.15, **{side: {"clips": 1, "minutes": 0.05} for side in SIDES},
        "left_out": {"silent": 1},
        "sources": {"one": {"clips": 3, "minutes": 0.15, **{side: {"clips": 1} for side in SIDES}}},
    })  # fmt: skip
    figures = {}
    for row in ROWS:
        heard = {"cer": 0.1, "cer_low": 0.05, "cer_high": 0.2, "secs": 0.9, "secs_low": 0.8, "secs_high": 0.95}
        model = {
            "mel_ce": 2.0,
            "mel_ce_low": 1.9,
            "mel_ce_high": 2.1,
            "clips": 31,
            "model_sha256": "m" * 64,
            "data_sha256": "d" * 64,
        }
        figures[row] = heard | (model if row in MODELS else {})
        speak(root, row)
    write(root / "metrics/compare/figures.json", figures)
    write(root / "metrics/listening.json", {"raters": 0, "pairs": {}, "mos": {}, "agreement": None})
    pairs = ("base_phase1", "phase1_phase2", "base_phase2")
    write(
        root / "metrics/compare/changes.json",
        {pair: {"mel_ce": change(-0.1, 0.02), "cer": change(0.1, 0.3)} for pair in pairs},
    )
    write(root / "metrics/compare/languages.json", {})
    for stage, before, values in (("train_phase1", 0, (2.5, 2.2, 2.1)), ("train_phase2", 24, (2.1, 2.05, 2.0))):
        curve = root / f"metrics/{stage}/plots/metrics/validation/mel_ce.tsv"
        curve.parent.mkdir(parents=True)
        curve.write_text("step\tmel_ce\n" + "".join(f"{before + 12 * i}\t{v}\n" for i, v in enumerate(values)))
    write(root / "metrics/run/train_phase2.json", {"seconds": 61.5, "restarts": [{"step": 12, "why": "killed"}]})
    return root


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def speak(root: Path, row: str) -> None:
    """Write the takes of one row, and the measures of these takes."""
    clips = [inputs.Clip(id, f"{id}.flac", text, "en", "anna", "one", 1.0, "test") for id, text in TEXTS.items()]
    said = [Take(clip, 0, 0.1 * np.sin(np.arange(22050) / 20).astype(np.float32), True) for clip in clips]
    rows = [
        dict.fromkeys(table.COLUMNS) | {"id": take.clip.id, "take": 0, "text": take.clip.text, "file": take.file}
        | {"heard": 'a | "b"', "characters": 10, "character_errors": errors, "words": 2, "word_errors": 1, "stopped": 0}
        for take, errors in zip(said, (1, 5), strict=True)
    ]  # fmt: skip
    takes.save(root / "data/spoken" / row, said, 22050)
    (root / "metrics/evaluate" / row).mkdir(parents=True)
    table.write(root / "metrics/evaluate" / row / table.TABLE, rows)
