"""Write the report as one HTML page and as Markdown, from the same findings and figures."""

import base64
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from voicetune import files, stage
from voicetune.data import formats
from voicetune.errors import shown
from voicetune.measures.table import Row
from voicetune.measures.takes import read_sound
from voicetune.params.models import MODELS
from voicetune.report import drawing, findings, verdict
from voicetune.report.gather import LABELS, PHASES, ROWS, Results

_TEMPLATES = Path(__file__).with_name("templates")
_PLAYED = 40  # sentences with players; more would make the page too large for browsers
_PACKAGES = ("voicetune", "coqui-tts", "torch", "transformers", "dvc", "faster-whisper", "resemblyzer", "speechmos")


@dataclass(frozen=True)
class Measure:
    """One row of the table. better: `lower` or `higher`, or empty if neither is better."""

    name: str
    label: str
    digits: int
    better: str
    means: str


MEASURES = (
    Measure("mel_ce", "mel CE", 3, "lower", "nats per audio token, test clips"),
    Measure("text_ce", "text CE", 3, "lower", "nats per text token, unscaled"),
    Measure("mel_ce_stock", "mel CE, stock", 3, "lower", "as the stock trainer measures it; not comparable"),
    Measure("top1", "top 1", 3, "higher", "share of the test clips' codes that the model finds likeliest"),
    Measure("top10", "top 10", 3, "higher", "share among its ten likeliest"),
    Measure("cer", "CER", 3, "lower", "characters that the recogniser reads wrongly"),
    Measure("wer", "WER", 3, "lower", "words that it reads wrongly"),
    Measure("secs", "SECS", 3, "higher", "likeness of the voice, by Resemblyzer"),
    Measure("secs_xtts", "SECS, XTTS's", 3, "higher", "by the encoder that XTTS was trained with"),
    Measure("mos", "predicted MOS", 2, "higher", "DNSMOS, overall, 1 to 5; no listener"),
    Measure("mos_signal", "of the speech", 2, "higher", "DNSMOS"),
    Measure("mos_background", "of the background", 2, "higher", "DNSMOS"),
    Measure("f0_rmse_cents", "pitch", 0, "lower", "RMSE in cents beside the recording, where both are voiced"),
    Measure("voicing_error", "voicing error", 3, "lower", "share of frames voiced in one of the two only"),
    Measure("mcd_db", "MCD", 2, "lower", "mel-cepstral distortion in dB"),
    Measure("duration_ratio", "duration", 2, "", "over the recording's"),
    Measure("mishaps", "mishaps", 3, "lower", "share of takes with any of the following"),
    Measure("runaways", "runaways", 3, "lower", "share of takes that never stopped"),
    Measure("skips", "skips", 3, "lower", "share of takes with words left out"),
    Measure("repeats", "repeats", 3, "lower", "share of takes with words said twice"),
    Measure("long_silences", "silences", 3, "lower", "share of takes with one above 1 s"),
    Measure("clipped", "clipped", 3, "lower", "share of takes with flattened peaks"),
)
_COLUMNS = (*MODELS, *ROWS[:2])
_COMPARED = ("mel_ce", "text_ce", "cer", "wer", "secs", "mos")


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
        "findings": findings.find(results.phases, results.pairs["phase1_phase2"], clips),
        "rows": [LABELS[row] for row in _COLUMNS],
        "voiced_by_base": results.figures["codec"].get("vocoder") == "hifigan",
        "table": _table(results),
        "floor": results.figures["recordings"].get("secs_floor"),
        "changes": _changes(results),
        "clips": clips,
        "takes": results.figures["base"].get("takes", 0),
        "spoken": results.figures["base"].get("sentences", 0),
        "prepared": results.prepared,
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
    folder = root / stage.RUN
    files.check_own(folder)
    found = {path.stem: values for path in sorted(folder.glob("*.json")) if (values := stage.read_run(path))}
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
        f"the mel CE of the test clips from {_bounded(figures['base'], 'mel_ce', 3)} to "
        f"{_bounded(figures['phase2'], 'mel_ce', 3)}, of which phase 2's part is "
        f"{change['difference']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"
    ]  # fmt: skip
    heard = [
        f"{label} {_bounded(voice, name, digits)} ({_beside(results, name, digits)})"
        for name, label, digits in (("cer", "CER", 3), ("secs", "SECS", 3), ("mos", "predicted MOS", 2))
        if name in voice
    ]
    said = f"; {LABELS[results.settings.publish]} speaks with {', '.join(heard)}" if heard else ""
    return "".join(parts) + said + "."


def _beside(results: Results, name: str, digits: int) -> str:
    return ", ".join(
        f"{row} {results.figures[row][name]:.{digits}f}" for row in ROWS[:2] if name in results.figures[row]
    )


def _bounded(figures: Mapping[str, Any], name: str, digits: int) -> str:
    if name not in figures:
        return ""
    text = f"{figures[name]:.{digits}f}"
    if f"{name}_low" in figures:
        text += f" [{figures[name + '_low']:.{digits}f}, {figures[name + '_high']:.{digits}f}]"
    return text


def _table(results: Results) -> list[tuple[Measure, list[str]]]:
    rows = [(m, [_bounded(results.figures[row], m.name, m.digits) for row in _COLUMNS]) for m in MEASURES]
    return [(measure, cells) for measure, cells in rows if any(cells)]


def _changes(results: Results) -> list[dict[str, Any]]:
    """List one entry for each pair and measure: the change, its interval, and whether it is certain and good."""
    known = {measure.name: measure for measure in MEASURES}
    entries = []
    for first, second in (("base", "phase1"), ("phase1", "phase2"), ("base", "phase2")):
        measures = results.pairs[f"{first}_{second}"]
        for name in _COMPARED:
            if (change := measures.get(name)) is None:
                continue
            digits = max(known[name].digits, 3)
            good = (change["difference"] < 0) == (known[name].better == "lower")
            entries.append({
                "pair": f"{LABELS[first]} → {LABELS[second]}",
                "measure": known[name].label,
                "difference": f"{change['difference']:+.{digits}f}",
                "interval": f"{change['low']:+.{digits}f} to {change['high']:+.{digits}f}",
                "verdict": ("better" if good else "worse") if change["excludes_zero"] else "not different from zero",
            })  # fmt: skip
    return entries


def _ended(results: Results) -> list[str]:
    return [f"{phase.name}: best at step {phase.best[0]:g} of {phase.steps:g}" for phase in results.phases]


def _hashes(results: Results) -> dict[str, str]:
    models = {f"weights of {LABELS[m]}": results.figures[m]["model_sha256"] for m in MODELS}
    return {**models, "codes of the dataset": results.figures["base"]["data_sha256"]}


def _sentences(results: Results) -> list[dict[str, Any]]:
    """List the spoken sentences, each with its first take of each row.

    The sentences that the published model says worst come first.
    """
    takes = {row: {one["id"]: one for one in said if one["take"] == 0} for row, said in results.said.items()}
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
    if row["characters"]:
        found.append(f"CER {row['character_errors'] / row['characters']:.2f}")
    for name, label, digits in (("secs", "SECS", 2), ("mos", "MOS", 1), ("duration_ratio", "duration", 2)):
        if row[name] is not None:
            found.append(f"{label} {row[name]:.{digits}f}")
    bad = {"never stopped": row["stopped"] == 0, "skips": row["skipped"] == 1, "repeats": row["repeated"] == 1,
           "long silence": row["long_silence"] == 1, "clipped": row["clipped"] == 1}  # fmt: skip
    return [*found, *(name for name, is_so in bad.items() if is_so)]


def _players(results: Results, root: Path, sentences: list[dict[str, Any]]) -> list[dict[str, Any]]:
    players = []
    for sentence in stage.track(sentences[:_PLAYED], "drawing"):
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
    return {"raters": found["raters"], "told": pairs + mos, "agreement": found["agreement"]}


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
