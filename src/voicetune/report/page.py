"""Write the report as one HTML page and as Markdown, from the same findings and figures."""

import base64
import json
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from voicetune import files, run_notes, terminal
from voicetune.data import formats
from voicetune.errors import shown
from voicetune.measures import catalogue, clip_table
from voicetune.measures.compared import CEILING, LABELS, PAIRS, ROWS
from voicetune.measures.measure import Figure, Row, Share
from voicetune.measures.results import format_figure
from voicetune.measures.takes import read_sound
from voicetune.params.models import MODELS
from voicetune.report import drawing, findings, verdict
from voicetune.report.inputs import PHASES, Results

_TEMPLATES = Path(__file__).with_name("templates")
_PLAYED = 40  # sentences with players; more would make the page too large for browsers
_PACKAGES = ("voicetune", "coqui-tts", "torch", "transformers", "dvc", "faster-whisper", "resemblyzer", "speechmos")


FIGURES = (*clip_table.FIGURES, *catalogue.DECLARED)
_COLUMNS = (*MODELS, *CEILING)


def write(results: Results, root: Path, out: Path) -> None:
    """Write `index.html` and `report.md` into `out`. The same results give the same bytes.

    Args:
        root: of the repository; holds data/spoken.
    """
    common = _common(results)
    seen = {
        "players": _players(results, root, common["sentences"]),
        "left_out": max(0, len(common["sentences"]) - _PLAYED),
        "curves": drawing.curves(results.phases),
        "durations": drawing.durations(results.clips),
        "style": (_TEMPLATES / "report.css").read_text(encoding="utf-8"),
        "parameters": results.parameters,
    }
    files.check_own(out)
    with files.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    files.put_all(
        {
            out / "report.md": _render("report.md.j2", common, html=False).encode(),
            out / "index.html": _render("report.html.j2", common | seen, html=True).encode(),
        }
    )


def write_picture(results: Results, path: Path) -> None:
    """Write the picture of the result, which README.md shows. The same results give the same bytes."""
    files.check_own(path)
    rows = {LABELS[row]: results.figures[row] for row in _COLUMNS}
    files.put(path, drawing.result(results.phases, rows).encode())


def _common(results: Results) -> dict[str, Any]:
    """The values that both templates use."""
    clips = results.figures["base"].get("clips", 0)
    return {
        "verdict": verdict.judge(results.settings.publish, results.figures, results.pairs),
        "summary": summary(results),
        "findings": [
            *findings.find(results.phases, results.pairs["phase1_phase2"], clips),
            *findings.of_languages(results.languages, results.settings.publish),
        ],
        "rows": [LABELS[row] for row in _COLUMNS],
        "voiced_by_base": results.figures["codec"].get("voiced_by_base"),
        "table": _table(results),
        "floor": results.figures["recordings"].get("secs_floor"),
        "changes": _changes(results.pairs),
        "languages": _languages(results),
        "clips": clips,
        "takes": results.figures["base"].get("takes", 0),
        "spoken": results.figures["base"].get("sentences", 0),
        "prepared": results.prepared,
        "unfit": results.prepared["clips"] - len(results.clips),
        "hashes": _hashes(results),
        "versions": {"Python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "listening": _listening(results.listening),
        "settings": results.settings,
        "sentences": _sentences(results),
        "published": LABELS[results.settings.publish],
        "ended": _ended(results),
    }


def write_run(root: Path) -> None:
    """Write what the last run took (metrics/run/*.json) to metrics/run/run.js, which the page loads.

    It is a script, because browsers do not let a page on the disk read JSON. It is not part of the report, because it
    differs from run to run.

    Args:
        root: of the repository.
    """
    folder = root / run_notes.FOLDER
    files.check_own(folder)
    found = {path.stem: values for path in sorted(folder.glob("*.json")) if (values := run_notes.read(path))}
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=2).replace("<", "\\u003c")
    files.put(folder / "run.js", f"window.voicetuneRun = {text};\n".encode())


def summary(results: Results) -> str:
    """Sum up the report in one sentence."""
    first, second = results.phases
    figures = results.figures
    voice, change = figures[results.settings.publish], results.pairs["phase1_phase2"]["mel_ce"]
    minutes = sum(clip.seconds for clip in results.clips if clip.split == "train") / 60
    parts = [
        f"{first.steps:g} steps of phase 1 and {second.steps:g} of phase 2 on {minutes:.1f} minutes of recordings took "
        f"the mel CE of the test clips from {format_figure(figures['base'], 'mel_ce')} to "
        f"{format_figure(figures['phase2'], 'mel_ce')}, of which phase 2's part is "
        f"{change['difference']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"
    ]  # fmt: skip
    measured = [
        f"{one.label} {format_figure(voice, one.name, one.digits)} ({_beside(results, one.name, one.digits)})"
        for one in catalogue.HEADLINES
        if one.name in voice
    ]
    speech = f"; {LABELS[results.settings.publish]} speaks with {', '.join(measured)}" if measured else ""
    return "".join(parts) + speech + "."


def _beside(results: Results, name: str, digits: int) -> str:
    return ", ".join(
        f"{row} {results.figures[row][name]:.{digits}f}" for row in CEILING if name in results.figures[row]
    )


def _table(results: Results) -> list[tuple[Figure, list[str]]]:
    return _rows_of(results.figures, FIGURES)


def _rows_of(figures: Mapping[str, Any], shown: Sequence[Figure]) -> list[tuple[Figure, list[str]]]:
    rows = [(one, [format_figure(figures[row], one.name, one.digits) for row in _COLUMNS]) for one in shown]
    return [(figure, cells) for figure, cells in rows if any(cells)]


def _languages(results: Results) -> list[dict[str, Any]]:
    """List the main figures and differences of each language; none if there is one language."""
    main = [figure for figure in FIGURES if figure.metric]
    return [
        {
            "language": language,
            "clips": found["figures"]["base"]["clips"],
            "table": _rows_of(found["figures"], main),
            "changes": _changes(found["changes"]),
        }
        for language, found in results.languages.items()
    ]


def _changes(pairs: Mapping[str, Any]) -> list[dict[str, str]]:
    """List one entry for each pair and figure: the change, its interval, and whether it is certain and good."""
    entries = []
    for first, second in PAIRS:
        changes = pairs[f"{first}_{second}"]
        for figure in FIGURES:
            if not figure.metric or (change := changes.get(figure.name)) is None:
                continue
            entries.append({"pair": f"{LABELS[first]} → {LABELS[second]}", **write_change(figure, change)})
    return entries


def write_change(figure: Figure, change: Mapping[str, Any]) -> dict[str, str]:
    """The texts of a paired difference (see metrics/compare/changes.json) for a row of a table."""
    digits = max(figure.digits, 3)
    return {
        "measure": figure.label,
        "difference": f"{change['difference']:+.{digits}f}",
        "interval": f"{change['low']:+.{digits}f} to {change['high']:+.{digits}f}",
        "verdict": _judged(figure, change) if change["excludes_zero"] else "not different from zero",
    }


def _judged(figure: Figure, change: Mapping[str, Any]) -> str:
    if not figure.better:
        return "different"
    return "better" if figure.gain(change["difference"]) > 0 else "worse"


def _ended(results: Results) -> list[str]:
    return [f"{phase.name}: best at step {phase.best[0]:g} of {phase.steps:g}" for phase in results.phases]


def _hashes(results: Results) -> dict[str, str]:
    models = {f"weights of {LABELS[m]}": results.figures[m]["model_sha256"] for m in MODELS}
    return {**models, "codes of the dataset": results.figures["base"]["data_sha256"]}


def _sentences(results: Results) -> list[dict[str, Any]]:
    """List the spoken sentences, each with its first take of each row.

    The sentences that the published model says worst come first.
    """
    takes = {row: {one["id"]: one for one in rows if one["take"] == 0} for row, rows in results.takes.items()}
    published = takes[results.settings.publish]

    def badness(id: str) -> tuple[float, float]:
        row = published[id]
        cer = row["character_errors"] / row["characters"] if row["characters"] else 0.0
        return -cer, row["mos"] or 0.0

    return [
        {"id": id, "text": published[id]["text"], "takes": {row: takes[row][id] for row in ROWS if id in takes[row]}}
        for id in sorted(published, key=lambda id: (badness(id), id))
    ]


def scores(row: Row) -> list[str]:
    """List the measurements of one take that its player shows."""
    found = []
    for figure in catalogue.FIGURES:
        of_take = figure.of.of(row) if figure.of and figure.one else None
        if of_take and not (isinstance(figure.of, Share) and not of_take[0]):
            found.append(figure.one.format(of_take[0] / of_take[1]))
    return found


def _players(results: Results, root: Path, sentences: list[dict[str, Any]]) -> list[dict[str, Any]]:
    players = []
    for sentence in terminal.track(sentences[:_PLAYED], "drawing"):
        takes = []
        for row, take in sentence["takes"].items():
            samples, rate = read_sound(root / "data/spoken" / row, take["id"], take["take"])
            takes.append({
                "label": LABELS[row],
                "heard": take["heard"],
                "scores": scores(take),
                "seconds": len(samples) / rate,
                "sound": base64.b64encode(formats.encode(samples, rate, "mp3")).decode(),
                "spectrogram": base64.b64encode(drawing.spectrogram(samples, rate)).decode(),
            })  # fmt: skip
        longest = max(take["seconds"] for take in takes)
        players.append({**sentence, "takes": [{**t, "width": 100 * t["seconds"] / longest} for t in takes]})
    return players


def _listening(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Put the listening test's figures into sentences; None if nobody listened."""
    if found is None:
        return None
    pairs = []
    for pair, votes in found["pairs"].items():
        first, second = (LABELS[row] for row in pair.split("_"))
        pairs.append(
            f"{second} was preferred to {first} in {100 * votes['preferred']:.0f} % of {votes['votes']} votes "
            f"(95 % interval {100 * votes['low']:.0f} to {100 * votes['high']:.0f} %; {votes['ties']} ties)"
        )
    mos = [
        f"MOS of {LABELS[row]}: {one['mean']:.2f} [{one['low']:.2f}, {one['high']:.2f}], {one['ratings']} ratings"
        for row, one in found["mos"].items()
    ]
    return {"raters": found["raters"], "lines": pairs + mos, "agreement": found["agreement"]}


def plain(text: object) -> str:
    """Escape a text from outside for Markdown, so that it forms no tag and no link, and ends no table cell or line."""
    one_line = shown(" ".join(str(text).split()))
    escaped = re.sub(r"[\\`*_\[\]|~$]", r"\\\g<0>", one_line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _render(name: str, values: dict[str, Any], html: bool) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=html, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["plain"] = plain
    return environment.get_template(name).render(**values, scores=scores, phases=PHASES)
