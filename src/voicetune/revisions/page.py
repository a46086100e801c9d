"""Writes the page about several revisions: index.html, and the sounds beside it in the folder `sounds`."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voicetune import files, pages
from voicetune.data import formats
from voicetune.measures.compared import CEILING, LABELS
from voicetune.measures.results import format_figure
from voicetune.params.models import MODELS
from voicetune.report import drawing
from voicetune.report.page import FIGURES, write_change
from voicetune.revisions import differences
from voicetune.revisions.differences import Comparison, Paired
from voicetune.revisions.results import Measured, Sample

PAGE, SOUNDS = "index.html", "sounds"
_TEMPLATES = Path(__file__).with_name("templates")
_MARK = '<meta name="generator" content="voicetune compare">'
_DASHES = (("solid", ""), ("dashed", "7 4"), ("dotted", "2 3"))  # for matplotlib, and for the legend's SVG
_PLAYED = 40  # lines with players; the page of a long script would be slow


def write(measured: Sequence[Measured], out: Path) -> list[str]:
    """Write the page into an empty folder.

    Args:
        measured: the revisions; the others are compared with the first.

    Returns:
        the notes that stand at the top of the page, a sentence each.
    """
    comparisons = [differences.compare(measured[0], other) for other in measured[1:]]
    notes = [*(note for one in measured for note in one.notes), *(note for one in comparisons for note in one.notes)]
    notes += [one for one in [differences.other_validation_clips(measured)] if one]
    lines = _lines(measured)
    html = pages.render(
        _TEMPLATES,
        "compare",
        revisions=[_revision(one, i) for i, one in enumerate(measured)],
        notes=notes,
        tables=_tables(measured),
        comparisons=[_comparison(one) for one in comparisons],
        curves=_curves(measured),
        best=_best(measured),
        lines=[_players(line, len(measured), out / SOUNDS) for line in lines[:_PLAYED]],
        left_out=max(0, len(lines) - _PLAYED),
        parameters=differences.parameters(measured),
        data=[(name, cells, len(set(cells)) > 1) for name, cells in differences.data(measured)],
    )
    files.put(out / PAGE, html.encode())
    return notes


def is_own(folder: Path) -> bool:
    """Whether the folder's page was written by this module."""
    path = folder / PAGE
    return files.is_file(path) and _MARK.encode() in path.read_bytes()[:2000]


def _line_of(number: int) -> tuple[str, tuple[str, str]]:
    """The colour of a revision's curve, and its dashes."""
    colours = len(drawing.COLOURS)
    return drawing.COLOURS[number % colours], _DASHES[number // colours % len(_DASHES)]


def _revision(one: Measured, number: int) -> dict[str, Any]:
    colour, (_, dashes) = _line_of(number)
    revision = one.revision
    return {"name": revision.name, "about": revision.about, "voice": LABELS[one.published], "colour": colour,
            "dashes": dashes, "curve": bool(one.phases)}  # fmt: skip


def _tables(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """The figures of the published voice, then those of each row, as texts: a measure's cells by revision."""
    rows = [("the published voice", [one.figures[one.published] for one in measured])]
    rows += [(LABELS[row], [one.figures[row] for one in measured]) for row in (*MODELS, *CEILING)]
    tables = []
    for name, figures in rows:
        cells = [(figure, [format_figure(one, figure.name, figure.digits) for one in figures]) for figure in FIGURES]
        tables.append({"name": name, "rows": [(figure, texts) for figure, texts in cells if any(texts)]})
    return [one for one in tables if one["rows"]]


def _comparison(one: Comparison) -> dict[str, Any]:
    return {
        "name": one.other.revision.name,
        "voice": _pair(one.voice),
        "phases": [_pair(pair) for pair in one.phases],
        "sentences": one.sentences,
        "clips": len(one.first.clips["base"].ids) if "mel_ce" in one.voice.changes else 0,
        "notes": one.notes,
        "code": differences.code(one.first, one.other),
        "diff": _diff(one),
    }


def _diff(one: Comparison) -> str:
    """The command that shows the difference of the code."""
    ends = [revision.commit[:7] for revision in (one.first.revision, one.other.revision) if revision.commit]
    way = "-R " if one.first.revision.commit is None else ""
    return f"git diff {way}{' '.join(ends)} -- src"


def _pair(pair: Paired) -> dict[str, Any]:
    name = LABELS[pair.a] if pair.a == pair.b else f"{LABELS[pair.a]} → {LABELS[pair.b]}"
    shown = [
        {**write_change(figure, change), "from": f"{change['from']:.{figure.digits}f}",
         "to": f"{change['to']:.{figure.digits}f}"}
        for figure in FIGURES
        if (change := pair.changes.get(figure.name)) is not None
    ]  # fmt: skip
    return {"name": name, "same": pair.same, "changes": shown}


def _curves(measured: Sequence[Measured]) -> str:
    """The curves of all revisions that have any, as an <svg>; empty if none has."""
    runs = []
    for number, one in enumerate(measured):
        colour, (dash, _) = _line_of(number)
        if one.phases:
            runs.append((one.phases, colour, dash))
    return drawing.validation_curves(runs) if runs else ""


def _best(measured: Sequence[Measured]) -> list[tuple[str, list[str]]]:
    """The rows of the table under the curves: where each phase of each revision was best."""
    names = dict.fromkeys(phase.name for one in measured for phase in one.phases)
    rows = []
    for name in names:
        phases = [next((phase for phase in one.phases if phase.name == name), None) for one in measured]
        told = [f"{one.best[1]:.3f}, step {one.best[0]:g} of {one.steps:g}" if one else "" for one in phases]
        rows.append((name, told))
    return rows


def _lines(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """The lines that any revision spoke, each with the sound of each revision, or None. A text may come twice."""
    lines: dict[tuple[str, str, int], dict[int, Sample]] = {}
    for number, one in enumerate(measured):
        seen: dict[tuple[str, str], int] = {}
        for sample in one.samples:
            key = (sample.text, sample.language)
            seen[key] = seen.get(key, 0) + 1
            lines.setdefault((*key, seen[key]), {})[number] = sample
    return [{"text": text, "language": language, "samples": found} for (text, language, _), found in lines.items()]


def _players(line: dict[str, Any], revisions: int, sounds: Path) -> dict[str, Any]:
    """Copy the sounds of a line, each under a name made of its hash, so that equal sounds are one file."""
    copied: list[str] = []
    for number in range(revisions):
        sample: Sample | None = line["samples"].get(number)
        if sample is None or sample.sound.suffix.removeprefix(".") not in formats.FORMATS:
            copied.append("")
            continue
        name = f"{files.sha256(sample.sound)[:16]}{sample.sound.suffix}"
        sounds.mkdir(exist_ok=True)
        shutil.copyfile(sample.sound, sounds / name)
        copied.append(f"{SOUNDS}/{name}")
    first = [copied.index(one) if one else number for number, one in enumerate(copied)]
    return {"text": line["text"], "language": line["language"], "sounds": list(zip(copied, first, strict=True))}
