"""The table of the published voice and the kept ones, with what was measured of them."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from voicetune import families, files, giving, space
from voicetune.errors import UserError, shown
from voicetune.kept import voices
from voicetune.kept.keeping import PUBLISHED
from voicetune.measures.compared import LABELS
from voicetune.measures.results import Facts, Figures
from voicetune.shapes import read_json
from voicetune.terminal import console

_MEASURES = {"cer": "CER", "secs": "SECS", "mos": "MOS"}


class _Described(Facts):
    """What is read of a voice's voicetune.json."""

    published: str
    language: str
    references: dict[str, Any]


def show() -> None:
    """Print the table, and a sentence for each voice or folder that is not in it."""
    table, faults = make()
    if table.row_count:
        console.print(table)
    else:
        print("no voice is published or kept; `dvc repro` publishes one, and `voicetune keep NAME` keeps it")
    for fault in faults:
        print(shown(f"warning: {fault}"), file=sys.stderr)


def make() -> tuple[Table, list[str]]:
    """Make the table, with one row for each voice that can be read.

    Returns:
        the table, and what is wrong with the others, a sentence each.
    """
    shown_ = Table("voice\nkept on", "speaker\nlanguage", "model\nlearned", box=box.SIMPLE_HEAD, padding=0)
    shown_.columns[0].min_width = 11
    for heading in (*(f"{label}\n95 %" for label in _MEASURES.values()), "size"):
        shown_.add_column(heading, justify="right", no_wrap=True)
    faults = [f"{path} is no kept voice; move it away, or remove it" for path in voices.strangers()]
    faults += [
        f"{voices.FOLDER / name} has no {voices.pointer(name)}, so no remote gets it; run"
        f" `dvc add {voices.FOLDER / name}`, or remove it with `voicetune voices --remove {name}`"
        for name in voices.without_pointer()
    ]
    for name in [None, *voices.names()]:
        try:
            if name or PUBLISHED.is_dir():
                shown_.add_row(*_cells(name))
        except UserError as error:
            faults.append(str(error))
        except OSError as error:  # such as a link into DVC's cache, of which the cache lacks the file
            faults.append(files.refused(error.filename or name, error, "read"))
    return shown_, faults


def _cells(name: str | None) -> list[str]:
    folder = voices.find(name) if name else PUBLISHED
    again = voices.restoring(folder) if name else "run `dvc repro -s -f publish`"
    facts = _Described.model_validate(read_json(folder / families.FACTS, _Described, again))
    row = _figures(folder, facts.published, again)
    size = sum(path.stat().st_size for path in folder.iterdir())
    return [
        f"{name}\n{voices.read(folder).date}" if name else "(published)",
        escape(shown(", ".join(sorted(facts.references))) + f"\n{shown(facts.language)}"),
        f"{LABELS.get(facts.published, '?')}\n{facts.facts.clip_seconds / 60:.1f} min",
        *(_cell(row, measure) for measure in _MEASURES),
        space.readable(size),
    ]  # fmt: skip


def _figures(folder: Path, model: str, again: str) -> Mapping[str, Any]:
    """The row of a voice's figures; empty if the published one has none.

    Those of a kept voice are in its folder. `keep` has compared them with the weights, so nothing is hashed here.
    """
    path = folder / voices.FIGURES
    if folder != PUBLISHED:
        return read_json(path, Figures, again).get(model, {})
    return giving.row_of(folder) if files.is_file(giving.MEASURED) else {}


def _cell(row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        return ""
    bounds = f"\n{row[f'{name}_low']:.2f}-{row[f'{name}_high']:.2f}" if f"{name}_low" in row else ""
    return f"{row[name]:.2f}{bounds}"
