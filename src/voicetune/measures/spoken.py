"""What is measured of spoken sentences: one row a take, kept as a table, and the figures of such a table."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from voicetune.data.clip import Clip
from voicetune.errors import UserError
from voicetune.measures.intervals import Interval, paired_difference, ratio_interval, share_interval

TABLE = "sentences.csv"
COLUMNS = (
    "id", "take", "speaker", "language", "text", "file", "seconds", "heard", "characters", "character_errors", "words",
    "word_errors", "secs", "secs_xtts", "mos", "mos_signal", "mos_background", "f0_rmse_cents", "voicing_error",
    "mcd_db", "duration_ratio", "stopped", "skipped", "repeated", "long_silence", "clipped",
)  # fmt: skip
RATIOS = {"cer": ("character_errors", "characters"), "wer": ("word_errors", "words")}
MEANS = (
    "secs", "secs_xtts", "mos", "mos_signal", "mos_background", "f0_rmse_cents", "voicing_error", "mcd_db",
    "duration_ratio",
)  # fmt: skip
SHARES = {
    "runaways": ("stopped", 0), "skips": ("skipped", 1), "repeats": ("repeated", 1),
    "long_silences": ("long_silence", 1), "clipped": ("clipped", 1),
}  # fmt: skip
SHORT = {"cer": "CER", "secs": "SECS", "mos": "MOS (predicted)"}
WITH_INTERVAL = (*RATIOS, *MEANS)

Row = dict[str, Any]


@dataclass(frozen=True)
class Take:
    """One sentence, said once.

    sound: (samples,) float32. stopped: whether the model ended it by itself; None for what no model said.
    """

    clip: Clip
    number: int
    sound: np.ndarray
    stopped: bool | None = None


def save(folder: Path, takes: Sequence[Take], rows: Sequence[Row], rate: int) -> None:
    """Write the table, and the sound of each sentence's first take as <id>.flac, PCM of 16 bit."""
    folder.mkdir(parents=True, exist_ok=True)
    for take in takes:
        if take.number == 0:
            sound = take.sound if take.sound.size else np.zeros(1, np.float32)  # FLAC has no empty file
            soundfile.write(folder / f"{take.clip.id}.flac", np.clip(sound, -1, 1), rate, subtype="PCM_16")
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(folder: Path) -> list[Row]:
    """The table's rows; a cell is a number where it is one of a measure, and None where nothing was measured.

    Raises:
        UserError: the table is missing or not the one that `save` writes.
    """
    path = folder / TABLE
    again = "run `dvc repro -f evaluate`"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise UserError(f"{path} should have the columns {', '.join(COLUMNS)}; {again}.")
            return [{name: _cell(name, text) for name, text in row.items()} for row in reader]
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {again}.") from None
    except (ValueError, csv.Error, AttributeError):
        raise UserError(f"{path} has a cell that cannot be read; {again}.") from None


def read_sound(path: Path) -> tuple[np.ndarray, int]:
    """What `save` wrote of one sentence: (samples,) float32 and its rate in Hz.

    Raises:
        UserError: the file is missing or no sound.
    """
    try:
        return soundfile.read(path, dtype="float32")
    except (OSError, RuntimeError):
        raise UserError(f"{path} is missing or no sound; make it again with `dvc repro -f evaluate`.") from None


def _cell(name: str, text: str) -> Any:
    if name in ("id", "speaker", "language", "text", "file", "heard"):
        return text
    return float(text) if text else None


def figures(rows: Sequence[Row], resamples: int, seed: int) -> dict[str, float]:
    """Every measure that the rows have: a figure, and `_low` and `_high` of its 95 % interval over sentences.

    A sentence's takes are drawn together, as they are not independent. For the same reason a share's interval is that
    of as many observations as there are sentences: too wide where the takes of one do not go wrong together.
    """
    found: dict[str, float] = {}
    for name in WITH_INTERVAL:
        sums, counts = _by_sentence(rows, name)
        if sums:
            interval = ratio_interval(list(sums.values()), list(counts.values()), resamples, seed)
            found |= _named(name, interval)
    for name, (column, bad) in SHARES.items():
        counted = [row for row in rows if row[column] is not None]
        if counted:
            share = float(np.mean([row[column] == bad for row in counted]))
            found |= _named(name, share_interval(share, len({row["id"] for row in counted})))
    return found


def told(found: Mapping[str, float]) -> str:
    """The most asked for of the figures, for a line on the terminal."""
    said = [f"{label} {found[name]:.3f}" for name, label in SHORT.items() if name in found]
    return ", ".join(said) or "nothing was spoken"


def difference(a: Sequence[Row], b: Sequence[Row], name: str, resamples: int, seed: int) -> Interval | None:
    """Interval of b's figure minus a's over the sentences that both have; None if there are none, or sizes differ."""
    (sums_a, counts_a), (sums_b, counts_b) = _by_sentence(a, name), _by_sentence(b, name)
    both = sorted(set(sums_a) & set(sums_b))
    if not both:
        return None
    if any(counts_a[id] != counts_b[id] for id in both):  # a take could not be measured: each sentence counts the same
        return paired_difference(
            [sums_a[id] / counts_a[id] for id in both], [sums_b[id] / counts_b[id] for id in both], np.ones(len(both)),
            resamples, seed,
        )  # fmt: skip
    return paired_difference(
        [sums_a[id] for id in both], [sums_b[id] for id in both], [counts_a[id] for id in both], resamples, seed
    )


def _by_sentence(rows: Sequence[Row], name: str) -> tuple[dict[str, float], dict[str, float]]:
    """Sum and count of a measure by sentence, over its takes; sentences where it was not measured are left out."""
    above, below = RATIOS.get(name, (name, None))
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    for row in rows:
        size = 1.0 if below is None else row[below]
        if row[above] is not None and size:
            sums[row["id"]] = sums.get(row["id"], 0.0) + row[above]
            counts[row["id"]] = counts.get(row["id"], 0.0) + size
    return sums, counts


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
