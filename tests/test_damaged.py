"""Damage each key and cell of the files that verdict, compare and report read. A run works or gives one sentence."""

import copy
import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made_up
import pytest
from test_measures import write_tables

import compare
import report
from voicetune import __main__ as command
from voicetune import entry
from voicetune.errors import shown
from voicetune.params import whole
from voicetune.report import drawing, page

HUGE = "1e400"
DIGITS = "1" + "0" * 400
VALUES = ("null", '"text"', "[]", "{}", "true", HUGE, "-1e300", DIGITS, "NaN")
CELLS = ("", "../x", "nan", DIGITS, "\ud800")


def keys(data: Any, above: tuple = ()) -> Iterator[tuple]:
    """Yield the path to every key of an object, also to those inside nested objects."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*above, key)
            yield from keys(value, (*above, key))


ALIKE = ("codec", "base", "phase1", "base_phase1", "phase1_phase2")
"""Parts of a file that look like another part, so they are not damaged too."""


def damages(text: str) -> Iterator[tuple[str, str]]:
    """Yield a name and the text of a JSON file in which one key is missing or has another value."""
    undamaged = json.loads(text)
    for way in keys(undamaged):
        if len(way) > 1 and way[0] in ALIKE:
            continue
        for value in (None, *VALUES):
            data = copy.deepcopy(undamaged)
            place = data
            for key in way[:-1]:
                place = place[key]
            place[way[-1]] = "@here@"
            if value is None:
                del place[way[-1]]
            yield f"{'.'.join(way)}: {value or 'missing'}", json.dumps(data).replace('"@here@"', value or "")


def cells(text: str, delimiter: str = ",") -> Iterator[tuple[str, str]]:
    """Yield a name and a table: with one cell of the last row changed, without a column, or cut off."""
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    for column in range(len(rows[-1])):
        for cell in CELLS:
            changed = [*rows[:-1], [*rows[-1][:column], cell, *rows[-1][column + 1 :]]]
            yield f"column {column}: {cell!r}", written(changed, delimiter)
        yield f"no column {column}", written([row[:column] + row[column + 1 :] for row in rows], delimiter)
    yield "nothing", ""
    yield "half", text[: len(text) // 2]
    yield "half of its rows", written(rows[: len(rows) // 2 + 1], delimiter)


def written(rows: list[list[str]], delimiter: str) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n", delimiter=delimiter).writerows(rows)
    return file.getvalue()


def try_all(path: Path, made: Iterator[tuple[str, str]], run: Callable[[], object], capsys) -> list[str]:
    """Damage a file in every way and run the command each time. Return its error sentences, empty where it worked."""
    before, told = path.read_bytes(), []
    for name, text in made:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        told.append(sentence(run, f"{path}, {name}", capsys))
    path.write_bytes(before)
    return told


def sentence(run: Callable[[], object], what: str, capsys) -> str:
    try:
        entry.run(run)
    except SystemExit:
        told = capsys.readouterr().err
        assert told.count("\n") == 1, what
        assert shown(told[:-1]) == told[:-1], what
        assert len(told) < 1000, what
        assert any(remedy in told for remedy in ("dvc repro", "listen", "in the encoding UTF-8")), told
        return told
    except BaseException as error:
        raise AssertionError(f"{what}: {error!r}") from error
    return ""


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """Work in the results of a small pipeline. To save time, params.yaml is read once, and no picture is drawn."""
    root = made_up.results(tmp_path / "made")
    made_up.write(root / "metrics/voice.json", {"model": "phase2"})
    made_up.write(root / "metrics/listening.json", {
        "raters": 3, "pairs": {"phase1_phase2": {"preferred": 0.7, "low": 0.5, "high": 0.84, "votes": 24, "ties": 2}},
        "mos": {"phase2": {"mean": 3.5, "low": 3.1, "high": 3.9, "ratings": 24}}, "agreement": 0.61,
    })  # fmt: skip
    monkeypatch.chdir(root)
    settings = whole.load()
    monkeypatch.setattr(whole, "load", lambda *_: settings)
    monkeypatch.setattr(page, "_players", lambda *_: [])
    for picture in ("curves", "durations", "result"):
        monkeypatch.setattr(drawing, picture, lambda *_: "")
    return root


def test_verdict_reports_damaged_figures(results, capsys):
    run = command.parser().parse_args(["verdict"]).run
    for name in ("voice.json", "compare/figures.json", "compare/changes.json"):
        path = Path("metrics") / name
        told = try_all(path, damages(path.read_text()), lambda: run(None), capsys)
        assert sum(map(bool, told)) > len(told) / 2
        assert all(name in one for one in told if one)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compare/figures.json", "compare/changes.json", "prepare.json", "listening.json"])
def test_report_reports_damaged_figures(results, capsys, name):
    path = Path("metrics") / name
    told = try_all(path, damages(path.read_text()), report.main, capsys)
    assert sum(map(bool, told)) > len(told) / 2


CURVE = "metrics/train_phase2/plots/metrics/validation/mel_ce.tsv"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["data/quality/clips.csv", "metrics/evaluate/phase2/takes.csv", CURVE])
def test_report_reports_damaged_tables(results, capsys, name):
    path = Path(name)
    made = cells(path.read_text(), "\t" if path.suffix == ".tsv" else ",")
    told = try_all(path, made, report.main, capsys)
    assert sum(map(bool, told)) > len(told) / 3


@pytest.mark.slow
def test_compare_reports_damaged_figures(tmp_path, capsys, monkeypatch):
    write_tables(tmp_path, compare={"bootstrap": 100})
    monkeypatch.chdir(tmp_path)
    names = ("phase2.json", "phase2/facts.json", "recordings/facts.json")
    for path in (*(Path("metrics/evaluate") / name for name in names), Path("models/phase2/voicetune.json")):
        try_all(path, damages(path.read_text()), compare.main, capsys)
    for name in ("phase2/clips.csv", "phase2/takes.csv", "recordings/takes.csv"):
        path = Path("metrics/evaluate") / name
        told = try_all(path, cells(path.read_text()), compare.main, capsys)
        assert all(told[-2:]), "an incomplete table is refused"
