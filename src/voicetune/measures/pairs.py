"""Two models side by side: their figures and tables read back, and the paired differences between them."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voicetune.errors import UserError
from voicetune.measures import spoken
from voicetune.measures.intervals import Interval, paired_difference

_COLUMNS = ["id", "mel_nats", "mel_tokens", "text_nats", "text_tokens", "top1", "top10"]
_REQUIRED = [f"{measure}{end}" for measure in ("mel_ce", "text_ce") for end in ("", "_low", "_high")]
_AGAIN = "measure again with `dvc repro -f evaluate`"

Figures = dict[str, Any]


@dataclass(frozen=True)
class ClipTable:
    """One model's held-out clips: ids, and each column but the first as (clips,) float64."""

    ids: list[str]
    columns: Mapping[str, np.ndarray]


def read_figures(path: Path, required: Sequence[str] = _REQUIRED) -> Figures:
    """Read one row's figures, as `evaluate` and `ceiling` wrote them.

    Raises:
        UserError: the file is missing, damaged or lacks a figure.
    """
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro evaluate`.") from None
    except ValueError:
        raise UserError(f"{path} is not valid JSON; {_AGAIN}.") from None
    missing = [key for key in required if not is_number(figures, key)]
    if missing:
        raise UserError(f"{path} has no number for '{missing[0]}'; {_AGAIN}.")
    return figures


def is_number(figures: Any, key: str) -> bool:
    """Whether a row has a finite figure of that name."""
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
        raise UserError(f"{path} is not a CSV file; {_AGAIN}.") from None
    if header != _COLUMNS or not rows:
        raise UserError(f"{path} should have rows, and the columns {', '.join(_COLUMNS)}; {_AGAIN}.")
    try:
        numbers = np.array([row[1:] for row in rows], np.float64)
    except ValueError:
        numbers = np.empty((0, 0))
    if numbers.shape != (len(rows), len(_COLUMNS) - 1) or not np.isfinite(numbers).all():
        raise UserError(f"{path} has a row without six finite numbers; {_AGAIN}.")
    return ClipTable([row[0] for row in rows], dict(zip(_COLUMNS[1:], numbers.T, strict=True)))


def check_same_task(figures: Mapping[str, Figures], tables: Mapping[str, ClipTable], folder: Path) -> None:
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
            raise UserError(f"{folder}/{model}.csv was measured on {what} than {folder}/{first}.csv; {_AGAIN}.")


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
