"""Stage `compare`: the three models side by side, and the figures of the published one."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from voicetune import params as parameters
from voicetune.errors import UserError
from voicetune.measures.intervals import paired_difference
from voicetune.stage import console, run, write_json

FOLDER = Path("metrics/evaluate")
COLUMNS = ["id", "mel_nats", "mel_tokens", "text_nats", "text_tokens"]
REQUIRED = [f"{measure}{end}" for measure in ("mel_ce", "text_ce") for end in ("", "_low", "_high")]
LABELS = {"base": "base", "phase1": "phase 1", "phase2": "phase 2"}
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
    tables = {model: read_table(FOLDER / f"{model}.csv") for model in parameters.MODELS}
    check_same_task(figures, tables)
    pairs = {
        f"{a}_{b}": compare_pair(figures, tables, a, b, settings.evaluate.bootstrap, settings.seed) for a, b in PAIRS
    }
    write_json(Path("metrics/compare.json"), pairs)
    write_json(Path("metrics/voice.json"), {"model": settings.publish, **figures[settings.publish]})
    console.print(overview(figures))
    for a, b in PAIRS:
        console.print(sentence(a, b, pairs[f"{a}_{b}"]["mel_ce"]), soft_wrap=True, markup=False, highlight=False)


def read_figures(path: Path) -> Figures:
    """Read one model's figures, as `evaluate` wrote them.

    Raises:
        UserError: the file is missing, damaged or lacks a figure.
    """
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro evaluate`.") from None
    except ValueError:
        raise UserError(f"{path} is not valid JSON; {AGAIN}.") from None
    missing = [key for key in REQUIRED if not _is_number(figures, key)]
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
        raise UserError(f"{path} has a row without four finite numbers; {AGAIN}.")
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


def compare_pair(
    figures: Mapping[str, Figures], tables: Mapping[str, ClipTable], a: str, b: str, resamples: int, seed: int
) -> Figures:
    """Differences b - a: with an interval over clips for the cross entropies, plain for CER and SECS."""
    pair: Figures = {}
    for measure in ("mel", "text"):
        from_table, to_table = tables[a].columns, tables[b].columns
        tokens = from_table[f"{measure}_tokens"]
        sums = from_table[f"{measure}_nats"], to_table[f"{measure}_nats"]
        interval = paired_difference(*sums, tokens, resamples, seed)
        pair[f"{measure}_ce"] = {
            **_change(*(float(values.sum() / tokens.sum()) for values in sums)),
            "low": interval.low,
            "high": interval.high,
            "excludes_zero": interval.excludes_zero,
        }
    for measure in ("cer", "secs"):
        if _is_number(figures[a], measure) and _is_number(figures[b], measure):
            pair[measure] = _change(figures[a][measure], figures[b][measure])
    return pair


def _change(before: float, after: float) -> Figures:
    relative = (after - before) / before if before else None
    return {"from": before, "to": after, "difference": after - before, "relative": relative}


def overview(figures: Mapping[str, Figures]) -> Table:
    """One row a model, and what bounds CER and SECS from above: the recordings, plain and through the codec."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    for title in ("mel CE\n\\[95 %]", "text CE\n\\[95 %]", "mel CE\nstock", "CER", "SECS"):
        table.add_column(title, justify="right", no_wrap=True)
    for model, label in LABELS.items():
        row = figures[model]
        cells = [_with_interval(row, "mel_ce"), _with_interval(row, "text_ce")]
        table.add_row(label, *cells, *(_cell(row, key) for key in ("mel_ce_stock", "cer", "secs")))
    for other in ("recordings", "codec"):
        row = figures["base"]  # the recordings are the same for every model
        cells = [_cell(row, f"cer_{other}"), _cell(row, f"secs_{other}")]
        if any(cells):
            table.add_row(other, "", "", "", *cells)
    return table


def _cell(row: Figures, key: str) -> str:
    return f"{row[key]:.3f}" if _is_number(row, key) else ""


def _with_interval(row: Figures, key: str) -> str:
    return f"{row[key]:.3f} [{row[f'{key}_low']:.3f}, {row[f'{key}_high']:.3f}]"


def sentence(a: str, b: str, change: Figures) -> str:
    """What the pair's mel CE says, with the verdict in words where the interval includes zero."""
    relative = "" if change["relative"] is None else f" ({100 * change['relative']:+.1f} %)"
    verdict = "" if change["excludes_zero"] else ", not different from zero"
    return (
        f"{LABELS[a]} -> {LABELS[b]}: mel CE {change['difference']:+.3f}{relative}, "
        f"95 % interval {change['low']:+.3f} to {change['high']:+.3f}{verdict}"
    )


if __name__ == "__main__":
    run(main)
