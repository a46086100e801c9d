"""All that the report shows, read from the folders that the stages before it wrote."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicetune import params
from voicetune.data import clip
from voicetune.data.clip import Clip
from voicetune.errors import UserError
from voicetune.measures import spoken
from voicetune.params import Params
from voicetune.report.findings import Phase, Point

ROWS = ("recordings", "codec", *params.MODELS)
LABELS = {"base": "base", "phase1": "phase 1", "phase2": "phase 2", "recordings": "recordings", "codec": "codec"}
PHASES = {"train_phase1": "phase 1", "train_phase2": "phase 2"}


@dataclass(frozen=True)
class Results:
    """figures, said: by row of ROWS. parameters: the text of params.yaml. restarts: steps, by phase. listening: None
    if nobody has listened yet."""

    settings: Params
    parameters: str
    figures: dict[str, dict[str, Any]]
    said: dict[str, list[spoken.Row]]
    pairs: dict[str, Any]
    phases: list[Phase]
    restarts: list[list[float]]
    prepared: dict[str, Any]
    clips: list[Clip]
    listening: dict[str, Any] | None


def read(root: Path) -> Results:
    """Read a repository's results.

    Raises:
        UserError: a file is missing or not what its stage writes.
    """
    metrics, settings = root / "metrics", params.load(root / "params.yaml")
    heard = _json(metrics / "listening.json")
    return Results(
        settings=settings,
        parameters=(root / "params.yaml").read_text(encoding="utf-8"),
        figures={row: _json(metrics / "evaluate" / f"{row}.json") for row in ROWS},
        said={row: spoken.read(root / "data/spoken" / row) for row in ROWS},
        pairs=_json(metrics / "compare.json"),
        phases=[_phase(metrics / stage, settings) for stage in PHASES],
        restarts=[[step for step, _ in _curve(metrics / stage, "restarts")] for stage in PHASES],
        prepared=_json(metrics / "prepare.json"),
        clips=_clips(root / "data/clips/clips.csv"),
        listening=heard if heard.get("raters") else None,
    )


def _phase(folder: Path, settings: Params) -> Phase:
    section: params.Phase = getattr(settings, folder.name)
    curve = _curve(folder, "held_out/mel_ce")
    if not curve:
        raise UserError(f"{folder} has no held-out curve; run `dvc repro -f {folder.name}`.")
    return Phase(
        name=PHASES[folder.name],
        start=curve[0][1] if curve[0][0] == 0 else None,
        held_out=[point for point in curve if point[0] > 0],
        train=_curve(folder, "train/mel_ce"),
        clips_per_step=section.batch_size * section.accumulate,
        target=section.target_mel_ce,
    )


def _curve(folder: Path, name: str) -> list[Point]:
    """A curve as dvclive writes it; empty if this one was never logged."""
    path = folder / "plots/metrics" / f"{name}.tsv"
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            _, *rows = list(csv.reader(file, delimiter="\t"))
        return [(float(step), float(value)) for step, value in rows]
    except ValueError:
        raise UserError(f"{path} is not the curve that a phase writes; run `dvc repro -f {folder.name}`.") from None


def _clips(path: Path) -> list[Clip]:
    try:
        return clip.read(path)
    except (OSError, KeyError, ValueError, TypeError):
        raise UserError(f"{path} is missing or damaged; run `dvc repro -f prepare`.") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro`.") from None
    except ValueError:
        raise UserError(f"{path} is not valid JSON; make it again with `dvc repro -f`.") from None
