"""Stage `compare`: the three models side by side, and the figures of the published one."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from voicetune import params as parameters
from voicetune.errors import UserError
from voicetune.measures import spoken
from voicetune.measures.intervals import Interval, paired_difference
from voicetune.stage import console, run, write_json

FOLDER = Path("metrics/evaluate")
SPOKEN = Path("data/spoken")
COLUMNS = ["id", "mel_nats", "mel_tokens", "text_nats", "text_tokens", "top1", "top10"]
REQUIRED = [f"{measure}{end}" for measure in ("mel_ce", "text_ce") for end in ("", "_low", "_high")]
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
AGAIN = "measure again with `dvc repro -f evaluate`"

Figures = dict[str, Any]


@dataclass(frozen=True)
class ClipTable:
    """One model's held-out clips: ids, and each column but the first as (clips,) float64."""

    ids: list[str]
    columns: Mapping[str, np.ndarray]


def main() -> None:
    """Compare base, phase1 and phase2; write metrics/compare.json and metrics/voice.json; print the table."""
    settings = parameters.load()
    figures = {model: read_figures(FOLDER / f"{model}.json") for model in parameters.MODELS}
    ceiling = {row: read_figures(FOLDER / f"{row}.json", ()) for row in CEILING}
    tables = {model: read_table(FOLDER / f"{model}.csv") for model in parameters.MODELS}
    rows = {model: spoken.read(SPOKEN / model) for model in parameters.MODELS}
    check_same_task(figures, tables)
    resampling = settings.evaluate.bootstrap, settings.seed
    pairs = {f"{a}_{b}": compare_pair(tables, a, b, *resampling) | heard(rows, a, b, *resampling) for a, b in PAIRS}
    write_json(Path("metrics/compare.json"), pairs)
    write_json(Path("metrics/voice.json"), {"model": settings.publish, **figures[settings.publish]})
    console.print(overview(figures | ceiling))
    for a, b in PAIRS:
        for measure in ("mel_ce", "cer"):
            if measure in (pair := pairs[f"{a}_{b}"]):
                told = sentence(a, b, TITLES[measure], pair[measure])
                console.print(told, soft_wrap=True, markup=False, highlight=False)


def read_figures(path: Path, required: Sequence[str] = REQUIRED) -> Figures:
    """Read one row's figures, as `evaluate` and `ceiling` wrote them.

    Raises:
        UserError: the file is missing, damaged or lacks a figure.
    """
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro evaluate`.") from None
    except ValueError:
        raise UserError(f"{path} is not valid JSON; {AGAIN}.") from None
    missing = [key for key in required if not _is_number(figures, key)]
    if missing:
        raise UserError(f"{path} has no number for '{missing[0]}'; {AGAIN}.")
    return figures


def _is_number(figures: Any, key: str) -> bool:
    return isinstance(figures, dict) and isinstance(figures.get(key), int | float) and np.isfinite(figures[key])


def read_table(path: Path) -> ClipTable:
    """Read one model's figures per clip, one row a held-out clip.

    Raises:
        UserError: the file is missing, empty, or not the table that `evaluate` writes.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro evaluate`.") from None
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"{path} is not a CSV file; {AGAIN}.") from None
    if header != COLUMNS or not rows:
        raise UserError(f"{path} should have rows, and the columns {', '.join(COLUMNS)}; {AGAIN}.")
    try:
        numbers = np.array([row[1:] for row in rows], np.float64)
    except ValueError:
        numbers = np.empty((0, 0))
    if numbers.shape != (len(rows), len(COLUMNS) - 1) or not np.isfinite(numbers).all():
        raise UserError(f"{path} has a row without six finite numbers; {AGAIN}.")
    return ClipTable([row[0] for row in rows], dict(zip(COLUMNS[1:], numbers.T, strict=True)))


def check_same_task(figures: Mapping[str, Figures], tables: Mapping[str, ClipTable]) -> None:
    """A paired difference needs the same clips, tokens and data for every model.

    Raises:
        UserError: they differ.
    """
    first, *others = tables
    for model in others:
        what = None
        if tables[model].ids != tables[first].ids:
            what = "other clips"
        elif any(
            not np.array_equal(tables[model].columns[name], tables[first].columns[name])
            for name in ("mel_tokens", "text_tokens")
        ):
            what = "other numbers of tokens"
        elif figures[model].get("data_sha256") != figures[first].get("data_sha256"):
            what = "other data"
        if what:
            raise UserError(f"{FOLDER}/{model}.csv was measured on {what} than {FOLDER}/{first}.csv; {AGAIN}.")


def compare_pair(tables: Mapping[str, ClipTable], a: str, b: str, resamples: int, seed: int) -> Figures:
    """Differences b - a of the cross entropies, with an interval over clips."""
    pair: Figures = {}
    for measure in ("mel", "text"):
        from_table, to_table = tables[a].columns, tables[b].columns
        tokens = from_table[f"{measure}_tokens"]
        sums = from_table[f"{measure}_nats"], to_table[f"{measure}_nats"]
        interval = paired_difference(*sums, tokens, resamples, seed)
        pair[f"{measure}_ce"] = _change(
            float(sums[0].sum() / tokens.sum()), float(sums[1].sum() / tokens.sum()), interval
        )
    return pair


def heard(rows: Mapping[str, Sequence[spoken.Row]], a: str, b: str, resamples: int, seed: int) -> Figures:
    """Differences b - a of what was measured of the spoken sentences, with an interval over sentences."""
    figures = {model: spoken.figures(rows[model], resamples, seed) for model in (a, b)}
    pair: Figures = {}
    for measure in spoken.WITH_INTERVAL:
        interval = spoken.difference(rows[a], rows[b], measure, resamples, seed)
        if interval is not None:
            pair[measure] = _change(figures[a][measure], figures[b][measure], interval)
    return pair


def _change(before: float, after: float, interval: Interval) -> Figures:
    return {
        "from": before,
        "to": after,
        "difference": interval.mean,
        "relative": interval.mean / before if before else None,
        "low": interval.low,
        "high": interval.high,
        "excludes_zero": interval.excludes_zero,
    }


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
    if not _is_number(row, name):
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
