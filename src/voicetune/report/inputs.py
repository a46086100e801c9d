"""Read all that the report shows from the folders that the earlier stages wrote."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from voicetune import files
from voicetune.data import clip
from voicetune.data.clip import Clip
from voicetune.errors import UserError
from voicetune.measures import pairs, results, table
from voicetune.measures.compared import LABELS, ROWS
from voicetune.measures.measure import Row
from voicetune.params import whole
from voicetune.params.training import Phase as PhaseSettings
from voicetune.params.unlisted import Unlisted
from voicetune.params.whole import Params
from voicetune.report.findings import PhaseCurves, Point
from voicetune.report.verdict import COMPARE
from voicetune.shapes import Number, read_json

LISTEN = "make it again with `voicetune listen`, or restore it with `git checkout`"
_CURVE = TypeAdapter(list[tuple[Number, Number]])
PHASES = {f"train_{phase}": LABELS[phase] for phase in ("phase1", "phase2")}


@dataclass(frozen=True)
class Results:
    """All results of a repository.

    figures, takes: by row of ROWS; takes are the measured ones. languages: the figures and paired differences of each
    language; empty if the test clips are in one. parameters: params.yaml without the keys that no result
    depends on. pairs: the paired differences, as stage compare writes them. listening: None if nobody has listened yet.
    """

    settings: Params
    parameters: str
    figures: dict[str, dict[str, Any]]
    takes: dict[str, list[Row]]
    pairs: dict[str, Any]
    languages: dict[str, Any]
    phases: list[PhaseCurves]
    prepared: dict[str, Any]
    clips: list[Clip]
    listening: dict[str, Any] | None


def read(root: Path) -> Results:
    """Read a repository's results.

    Raises:
        UserError: a file is missing or not what its stage writes.
    """
    metrics, settings = root / "metrics", whole.load(root / "params.yaml")
    opinions = read_json(metrics / "listening.json", results.Listening, LISTEN)
    takes = {row: table.read(metrics / "evaluate" / row / table.TABLE) for row in ROWS}
    pairs.check_same_takes(takes)
    written = settings.model_dump(mode="json", exclude=set(Unlisted.model_fields))
    return Results(
        settings=settings,
        parameters=yaml.safe_dump(written, sort_keys=False, allow_unicode=True, width=100),
        figures=read_json(metrics / "compare" / "figures.json", results.Figures, COMPARE),
        takes=takes,
        pairs=read_json(metrics / "compare" / "changes.json", results.Changes, COMPARE),
        languages=read_json(metrics / "compare" / "languages.json", results.Languages, COMPARE),
        phases=[_with_settings(read_phase(metrics / stage), getattr(settings, stage)) for stage in PHASES],
        prepared=read_json(metrics / "prepare.json", results.Prepared, "make it again with `dvc repro -s -f prepare`"),
        clips=clip.read(root / "data/quality/clips.csv"),
        listening=opinions if opinions.get("raters") else None,
    )


def _with_settings(phase: PhaseCurves, section: PhaseSettings) -> PhaseCurves:
    return replace(phase, clips_per_step=section.batch_size * section.accumulate, target=section.target_mel_ce)


def read_phase(folder: Path) -> PhaseCurves:
    """Read the curves of a phase. Steps count from its own start; in dvclive they count from the start of phase 1.

    Args:
        folder: metrics/<stage>.

    Raises:
        UserError: there is no validation curve, or a file is damaged.
    """
    curve = _curve(folder, "validation/mel_ce")
    if not curve:
        raise UserError(f"{folder} has no validation curve; run `dvc repro -s -f {folder.name}`.")
    (before, start), *later = curve
    return PhaseCurves(
        name=PHASES[folder.name],
        start=start,
        validation=[(step - before, value) for step, value in later],
        train=[(step - before, value) for step, value in _curve(folder, "train/mel_ce")],
    )


def _curve(folder: Path, name: str) -> list[Point]:
    """Read a curve as dvclive writes it, a header and a row for each step. Empty if this curve was never logged.

    Raises:
        UserError: the file is something else, or its steps are not in order.
    """
    path = folder / "plots/metrics" / f"{name}.tsv"
    if not path.exists():
        return []
    again = f"run `dvc repro -s -f {folder.name}`"
    lines = files.read_text(path, again).splitlines()
    try:
        curve = _CURVE.validate_python([line.split("\t") for line in lines[1:]])
    except ValueError:  # pydantic's ValidationError is a ValueError
        curve = []
    if not lines or len(curve) < len(lines) - 1 or curve != sorted(curve, key=_step):
        raise UserError(f"{path} is not the curve that a phase writes; {again}.")
    return curve


def _step(point: Point) -> float:
    return point[0]
