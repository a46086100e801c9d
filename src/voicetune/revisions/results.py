"""Reads the results in a snapshot, with the readers of the stages. What cannot be read becomes a note, not an error."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from voicetune import files
from voicetune.data import clip
from voicetune.data.clip import Clip
from voicetune.errors import UserError
from voicetune.measures import clip_table, pairs, results, table
from voicetune.measures.clip_table import ClipTable
from voicetune.measures.compared import ROWS
from voicetune.measures.measure import Row
from voicetune.measures.pairs import Figures
from voicetune.params.models import MODELS
from voicetune.report import inputs
from voicetune.report.findings import PhaseCurves
from voicetune.revisions.naming import Revision
from voicetune.revisions.snapshots import Snapshot
from voicetune.shapes import Count, Plain, Record, parse

RESAMPLING = 2000, 1
"""Draws and seed of every interval, so that the intervals of all revisions are computed in one way."""
T = TypeVar("T")
_FIGURES = {f"{name}{end}" for name in results.FIGURES for end in ("", "_low", "_high")}


@dataclass(frozen=True)
class Sample:
    """A line that the published voice speaks, and its sound."""

    text: str
    language: str
    sound: Path


@dataclass(frozen=True)
class Measured:
    """What a snapshot has; a part that is missing is empty.

    published: the model that is the voice. figures: by row, with intervals. clips: by model. takes: by row. facts: by
    row, such as `model_sha256`. manifest: the clips that the dataset has. amounts: of metrics/prepare.json. notes: a
    sentence each.
    """

    snapshot: Snapshot
    published: str
    figures: dict[str, Figures]
    clips: dict[str, ClipTable]
    takes: dict[str, list[Row]]
    facts: dict[str, dict[str, Any]]
    phases: list[PhaseCurves]
    samples: list[Sample]
    manifest: list[Clip]
    amounts: dict[str, Any]
    notes: list[str]

    @property
    def revision(self) -> Revision:
        return self.snapshot.revision


class _Line(Record):
    """A row of data/samples/manifest.json."""

    file: Plain
    text: str
    language: str = ""


class _Sides(Record):
    clips: Count


def read(snapshot: Snapshot) -> Measured:
    """Read everything that is there."""
    reader = _Reader(snapshot)
    evaluated = Path("metrics/evaluate")
    takes = {row: reader.table(evaluated / row / table.TABLE, table.COLUMNS, table.read) or [] for row in ROWS}
    clips = {model: reader.table(evaluated / model / clip_table.TABLE, clip_table.COLUMNS, clip_table.read)
             for model in MODELS}  # fmt: skip
    measured = {model: found for model, found in clips.items() if found}
    figures = {row: {**reader.points(evaluated / f"{row}.json"), **_with_intervals(measured.get(row), takes[row])}
               for row in ROWS}  # fmt: skip
    curves = [reader.phase(Path("metrics") / stage) for stage in inputs.PHASES]
    manifests = [reader.table(Path("data") / name / "clips.csv", None, clip.read) for name in ("quality", "clips")]
    return Measured(
        snapshot=snapshot,
        published=reader.published(),
        figures=figures,
        clips=measured,
        takes=takes,
        facts={row: reader.json(evaluated / row / results.FACTS, dict[str, Any]) or {} for row in ROWS},
        phases=[phase for phase in curves if phase],
        samples=reader.samples(Path("data/samples")),
        manifest=next((found for found in manifests if found), []),
        amounts=reader.json(Path("metrics/prepare.json"), _Sides) or {},
        notes=[*snapshot.notes, *dict.fromkeys(reader.notes)],
    )


def _with_intervals(clips: ClipTable | None, takes: Sequence[Row]) -> Figures:
    """The figures of a row, as stage compare computes them."""
    of_clips = pairs.of_clips(clips, *RESAMPLING) if clips else {}
    return {**of_clips, **(pairs.of_takes(takes, *RESAMPLING) if takes else {})}


class _Reader:
    """Reads files of a snapshot by their paths in the project, and notes what cannot be read."""

    def __init__(self, snapshot: Snapshot):
        self.notes: list[str] = []
        self._snapshot = snapshot

    def _try(self, path: Path, read: Callable[[Path], T]) -> T | None:
        whole = self._snapshot.folder / path
        if not whole.exists():
            return None  # it is noted as missing, or this version of voicetune did not make it
        try:
            return read(whole)
        except UserError as error:
            fault = str(error).replace(f"{self._snapshot.folder}/", "").split("; ")[0].rstrip(".")
            self.note(f"{fault}, so the page leaves it out")
            return None

    def note(self, sentence: str) -> None:
        self.notes.append(f"{self._snapshot.revision.name}: {sentence}.")

    def table(self, path: Path, columns: Sequence[str] | None, read: Callable[[Path], T]) -> T | None:
        """Read a table. Of another version's table, the columns that this version knows count."""
        known = columns or ()
        if known and (changed := self._try(path, lambda whole: _fit(whole, known))):
            self.note(f"{path.name} has other columns, of another version of voicetune ({changed})")
        return self._try(path, read)

    def json(self, path: Path, shape: Any) -> Any:
        """Read a JSON file of this shape."""

        def read(whole: Path) -> Any:
            try:
                return parse(files.read_text(whole, "restore it"), shape)
            except (ValueError, RecursionError):
                raise UserError(f"{whole} is not as this version of voicetune writes it") from None

        return self._try(path, read)

    def points(self, path: Path) -> Figures:
        """The figures in a flat JSON file that this version knows. Early versions kept intervals there, too."""
        found = self.json(path, dict[str, Any]) or {}
        return {name: float(value) for name, value in found.items() if name in _FIGURES and _is_number(value)}

    def phase(self, folder: Path) -> PhaseCurves | None:
        """The curves of a phase."""
        return self._try(folder, inputs.read_phase)

    def published(self) -> str:
        """The model that is the voice; phase 2 if nobody says."""
        found = self.json(Path("metrics/voice.json"), results.Published)
        return found["model"] if found else "phase2"

    def samples(self, folder: Path) -> list[Sample]:
        """The lines of data/samples whose sounds are there."""
        lines = self.json(folder / "manifest.json", list[_Line]) or []
        place = self._snapshot.folder / folder
        return [Sample(one["text"], str(one.get("language", "")), place / one["file"]) for one in lines
                if files.is_file(place / one["file"])]  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e9


def _fit(path: Path, columns: Sequence[str]) -> str:
    """Give a table these columns: others are dropped, missing ones are empty. Returns what changed, for people."""
    try:
        rows = list(csv.reader(io.StringIO(files.read_text(path, "restore it"), newline="")))
    except csv.Error:
        return ""  # the stage's own reader says what is wrong
    if not rows or rows[0] == list(columns):
        return ""
    header = rows[0]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(dict(zip(header, row, strict=False)) for row in rows[1:])
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    more, fewer = [name for name in header if name not in columns], [name for name in columns if name not in header]
    said = [f"more: {', '.join(more)}" if more else "", f"missing: {', '.join(fewer)}" if fewer else ""]
    return "; ".join(filter(None, said)) or "in another order"
