"""Stage compare: writes the figures of every row with their intervals, the paired differences between the models, and
the few figures of the published voice.

The rows are the recordings, the codec and the three models.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from voicetune import entry, families, files, outputs, terminal
from voicetune.data import clip
from voicetune.errors import UserError
from voicetune.measures import clip_table, pairs, results, table
from voicetune.measures.catalogue import HEADLINES, METRICS
from voicetune.measures.clip_table import ClipTable
from voicetune.measures.compared import CEILING, LABELS, PAIRS
from voicetune.measures.measure import Row
from voicetune.measures.pairs import Figures
from voicetune.params import reading
from voicetune.params.measuring import CompareStage
from voicetune.params.models import MODELS
from voicetune.shapes import read_json

CLIPS = Path("data/quality/clips.csv")
FOLDER = Path("metrics/evaluate")
OUT = Path("metrics/compare")
AGAIN = "run `dvc repro -s -f ceiling evaluate`"
LOSSES = [figure for figure in clip_table.FIGURES if figure.metric]
PRINTED = {figure.name: figure for figure in (*LOSSES, *HEADLINES)}
BOUNDED = ("mel_ce", "cer")  # only these are printed with intervals; metrics/compare has all of them


def main() -> None:
    """Write metrics/compare (figures.json, changes.json, languages.json, heard.csv) and metrics/voice.json.

    The table of the figures, and the main differences, are printed.
    """
    settings = reading.load(CompareStage)
    resampling = settings.compare.bootstrap, settings.seed
    rows = {row: table.read(FOLDER / row / table.TABLE) for row in (*MODELS, *CEILING)}
    facts = {row: read_json(FOLDER / row / results.FACTS, results.CeilingFacts, AGAIN) for row in CEILING}
    facts |= {model: read_json(FOLDER / model / results.FACTS, results.ModelFacts, AGAIN) for model in MODELS}
    clips = {model: clip_table.read(FOLDER / model / clip_table.TABLE) for model in MODELS}
    points = {model: read_json(FOLDER / f"{model}.json", results.Points, AGAIN) for model in MODELS}
    pairs.check_same_takes(rows)
    pairs.check_same_task(clips, {model: facts[model]["data_sha256"] for model in MODELS})
    figures, changes = measured(clips, rows, resampling)
    stock = {model: {"mel_ce_stock": points[model]["mel_ce_stock"]} for model in MODELS}
    figures = {row: {**facts[row], **stock.get(row, {}), **found} for row, found in figures.items()}
    languages = by_language(clips, rows, resampling)
    outputs.write_json(OUT / "figures.json", figures)
    outputs.write_json(OUT / "changes.json", changes)
    outputs.write_json(OUT / "languages.json", languages)
    _write_heard(OUT / "heard.csv", figures)
    outputs.write_json(Path("metrics/voice.json"), voice(settings.publish, points[settings.publish]))
    terminal.console.print(overview(figures))
    for language, compared in {"": changes, **{one: found["changes"] for one, found in languages.items()}}.items():
        for line in sentences(compared):
            told = f"{language}: {line}" if language else line
            terminal.console.print(told, soft_wrap=True, markup=False, highlight=False)


Resampling = tuple[int, int]
"""Number of bootstrap draws, and their seed."""


def measured(
    clips: Mapping[str, ClipTable], rows: Mapping[str, Sequence[Row]], resampling: Resampling
) -> tuple[dict[str, Figures], dict[str, Figures]]:
    """The figures of every row, and the paired differences between the models."""
    figures = {row: pairs.of_takes(rows[row], *resampling) for row in (*CEILING, *MODELS)}
    figures |= {model: {**pairs.of_clips(clips[model], *resampling), **figures[model]} for model in MODELS}
    changes = {
        f"{a}_{b}": pairs.compare_clips(clips[a], clips[b], *resampling)
        | pairs.compare_takes(rows[a], rows[b], *resampling)
        for a, b in PAIRS
    }
    return figures, changes


def by_language(
    clips: Mapping[str, ClipTable], rows: Mapping[str, Sequence[Row]], resampling: Resampling
) -> dict[str, dict[str, dict[str, Figures]]]:
    """`measured` of each language of the test clips; empty if they are in one language."""
    known = {one.id: one.language for one in clip.read(CLIPS)}
    tested = clips[MODELS[0]].ids
    if strange := [id for id in tested if id not in known]:
        raise UserError(f"{CLIPS} has no clip {strange[0]}, which was measured; run `dvc repro -s -f evaluate`.")
    languages = sorted({known[id] for id in tested})
    if len(languages) == 1:
        return {}  # it would be measured twice
    found = {}
    for language in languages:
        own = {id for id in tested if known[id] == language}
        alone = {model: one.only(own) for model, one in clips.items()}
        said = {row: [take for take in takes if take["id"] in own] for row, takes in rows.items()}
        figures, changes = measured(alone, said, resampling)
        found[language] = {"figures": figures, "changes": changes}
    return found


def sentences(changes: Mapping[str, Figures]) -> list[str]:
    """A sentence for each difference between two models that is printed."""
    return [
        sentence(a, b, PRINTED[name].label, changes[f"{a}_{b}"][name])
        for a, b in PAIRS
        for name in BOUNDED
        if name in changes[f"{a}_{b}"]
    ]


def voice(model: str, points: Figures) -> Figures:
    """The figures by which a person compares two published voices: twelve at most."""
    described = Path("models") / model / families.FACTS
    facts = read_json(described, results.Facts, f"remove models/{model} and run `dvc repro`").get("facts", {})
    trained = {
        "steps": facts.get("steps_before", 0) + facts.get("steps", 0),
        "train_minutes": round(facts.get("clip_seconds", 0.0) / 60, 2),
    }
    return {"model": model, **{k: v for k, v in points.items() if k != "mel_ce_stock"}, **trained}


def _write_heard(path: Path, figures: Mapping[str, Figures]) -> None:
    """Write each row's measures of its speech, as a table for `dvc plots`."""
    files.check_own(path)
    with files.writing(path), path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", *METRICS])
        writer.writerows([row, *(figures[row].get(name, "") for name in METRICS)] for row in (*CEILING, *MODELS))


def overview(figures: Mapping[str, Figures]) -> Table:
    """A table with a row for each model, then the recordings and the codec, which bound the measures of speech."""
    shown = Table(box=box.SIMPLE_HEAD, padding=0)
    shown.add_column("", no_wrap=True)
    for name, figure in PRINTED.items():
        interval = "\n\\[95 %]" if name in BOUNDED else ""
        shown.add_column((figure.title or figure.label) + interval, justify="right", no_wrap=True)
    by_base = figures["codec"].get("voiced_by_base")
    for row in (*MODELS, *CEILING):
        label = "codec\n(by base)" if row == "codec" and by_base else LABELS[row]
        cells = [
            results.format_figure(figures[row], name, figure.digits, interval=name in BOUNDED)
            for name, figure in PRINTED.items()
        ]
        shown.add_row(label, *cells)
    return shown


def sentence(a: str, b: str, label: str, change: Figures) -> str:
    """A sentence for one paired difference. It says so if the interval includes zero."""
    relative = "" if change["relative"] is None else f" ({100 * change['relative']:+.1f} %)"
    verdict = "" if change["excludes_zero"] else ", not different from zero"
    return (
        f"{LABELS[a]} -> {LABELS[b]}: {label} {change['difference']:+.3f}{relative}, "
        f"95 % interval {change['low']:+.3f} to {change['high']:+.3f}{verdict}"
    )


if __name__ == "__main__":
    entry.run(main)
