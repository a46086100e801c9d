"""Stage `compare`: the three models side by side, and the figures of the published one."""

from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.table import Table

from voicetune import params as parameters
from voicetune.measures import pairs, spoken
from voicetune.measures.pairs import Figures
from voicetune.stage import console, run, write_json

FOLDER = Path("metrics/evaluate")
SPOKEN = Path("data/spoken")
LABELS = {"base": "base", "phase1": "phase 1", "phase2": "phase 2"}
CEILING = ("recordings", "codec")
TITLES = {
    "mel_ce": "mel CE",
    "text_ce": "text\nCE",
    "mel_ce_stock": "stock",
    "cer": "CER",
    "secs": "SECS",
    "mos": "MOS",
}
BOUNDED = ("mel_ce", "cer")  # printed with their intervals; metrics/evaluate has all
PAIRS = (("base", "phase1"), ("phase1", "phase2"), ("base", "phase2"))


def main() -> None:
    """Compare base, phase1 and phase2; write metrics/compare.json and metrics/voice.json; print the table."""
    settings = parameters.load()
    figures = {model: pairs.read_figures(FOLDER / f"{model}.json") for model in parameters.MODELS}
    ceiling = {row: pairs.read_figures(FOLDER / f"{row}.json", ()) for row in CEILING}
    tables = {model: pairs.read_table(FOLDER / f"{model}.csv") for model in parameters.MODELS}
    rows = {model: spoken.read(SPOKEN / model) for model in parameters.MODELS}
    pairs.check_same_task(figures, tables, FOLDER)
    resampling = settings.evaluate.bootstrap, settings.seed
    changes = {
        f"{a}_{b}": pairs.compare_pair(tables, a, b, *resampling) | pairs.heard(rows, a, b, *resampling)
        for a, b in PAIRS
    }
    write_json(Path("metrics/compare.json"), changes)
    write_json(Path("metrics/voice.json"), {"model": settings.publish, **figures[settings.publish]})
    console.print(overview(figures | ceiling))
    for a, b in PAIRS:
        for measure in ("mel_ce", "cer"):
            if measure in (pair := changes[f"{a}_{b}"]):
                told = sentence(a, b, TITLES[measure], pair[measure])
                console.print(told, soft_wrap=True, markup=False, highlight=False)


def overview(figures: Mapping[str, Figures]) -> Table:
    """One row a model, and what bounds the spoken measures: the recordings, plain and through the codec."""
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("", no_wrap=True)
    for name, title in TITLES.items():
        interval = "\n\\[95 %]" if name in BOUNDED else ""
        table.add_column(title + interval, justify="right", no_wrap=True)
    for row, label in (LABELS | {name: name for name in CEILING}).items():
        table.add_row(label, *(_cell(figures[row], name) for name in TITLES))
    return table


def _cell(row: Figures, name: str) -> str:
    if not pairs.is_number(row, name):
        return ""
    bounds = f" [{row[name + '_low']:.3f}, {row[name + '_high']:.3f}]" if name in BOUNDED else ""
    return f"{row[name]:.{2 if name == 'mos' else 3}f}{bounds}"


def sentence(a: str, b: str, title: str, change: Figures) -> str:
    """What the pair's figure says, with the verdict in words where the interval includes zero."""
    relative = "" if change["relative"] is None else f" ({100 * change['relative']:+.1f} %)"
    verdict = "" if change["excludes_zero"] else ", not different from zero"
    return (
        f"{LABELS[a]} -> {LABELS[b]}: {title} {change['difference']:+.3f}{relative}, "
        f"95 % interval {change['low']:+.3f} to {change['high']:+.3f}{verdict}"
    )


if __name__ == "__main__":
    run(main)
