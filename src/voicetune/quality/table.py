"""The table data/quality/checks.csv: every clip with its figures, and why it is left out."""

from dataclasses import make_dataclass
from pathlib import Path

from voicetune.data import csv_tables
from voicetune.quality.catalogue import CHECKS
from voicetune.quality.judged import Judged, in_words

_Row = make_dataclass(
    "_Row",
    [("id", str), ("kept", str), ("decision", str), ("reasons", str), ("warnings", str), ("heard", str)]
    + [(check.name, float | None) for check in CHECKS],
)


def write(path: Path, judged: list[Judged]) -> None:
    """Write the table, one row a clip.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    csv_tables.write(path, _Row, [_row(one) for one in judged])


def _row(one: Judged):
    figures = (one.figures[check.name] for check in CHECKS)
    kept, reasons, warnings = "yes" if one.kept else "no", in_words(one.reasons), in_words(one.warnings)
    return _Row(one.clip.id, kept, one.decision, reasons, warnings, one.heard, *figures)
