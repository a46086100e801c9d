"""A new measure is one file: a toy, put into a copy of the code, goes through everything that knows measures."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import made_up
import numpy as np
import pytest
from conftest import example_of_docs

import choose
import compare
import report
from voicetune import closure
from voicetune.data.clip import Clip
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.measures import catalogue, choosing, clip_table, results, table
from voicetune.measures.material import Material
from voicetune.measures.measure import Figure, Mean, Measure
from voicetune.measures.measurer import Measurer
from voicetune.measures.takes import Take
from voicetune.params import whole
from voicetune.params.models import MODELS
from voicetune.report import verdict

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = (
    "id,take,speaker,language,text,file,seconds,heard,characters,character_errors,words,word_errors,secs,secs_xtts,mos,"
    "mos_signal,mos_background,f0_rmse_cents,voicing_error,mcd_db,duration_ratio,stopped,skipped,repeated,long_silence,"
    "clipped"
)
TOY = example_of_docs('"""Loudness')
LEVELS = {"recordings": 0.5, "codec": 0.4, "base": 0.1, "phase1": 0.2, "phase2": 0.3}


@pytest.mark.slow
def test_a_new_measure_is_one_file(tmp_path):
    source = tmp_path / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "voicetune/measures/catalogue/loudness.py").write_text(TOY)
    code = "import sys, test_new_measure; test_new_measure.walk(sys.argv[1])"
    paths = os.pathsep.join(str(path) for path in (source, ROOT / "tests"))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "repository")], env={**os.environ, "PYTHONPATH": paths},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_file_without_a_measure_is_one_sentence(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src/voicetune/measures/catalogue/loudness.py").write_text("figures = ()\n")
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    for command in (["-m", "voicetune", "check"], ["src/compare.py"]):
        done = subprocess.run(
            [sys.executable, *command], env={**os.environ, "PYTHONPATH": "src"}, cwd=tmp_path,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr == (
            "error: src/voicetune/measures/catalogue/loudness.py has no `MEASURE = Measure(...)`; write it as"
            " docs/extending.md shows, or move the file out of this folder.\n"
        )


def test_a_measure_that_is_no_python_is_one_sentence(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "src/voicetune/measures/catalogue/loudness.py"
    path.write_text("figures = (\n")
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "voicetune", "check"], env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"error: {path}, line 1 is no Python ('(' was never closed); correct it.\n"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("MEASURE = Mesure(open=None)", "NameError: name 'Mesure' is not defined"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ('Figure("a", "a", 3, "", "a", None, cost=1)', "ValueError: the figure a judges models, so it has to say what"),
    ],
)
def test_a_measure_that_cannot_be_opened_is_one_sentence_with_its_line(tmp_path, monkeypatch, code, says):
    """The line is that of the measure's own file, also if a function that it calls fails."""
    (tmp_path / "loudness.py").write_text(f"from voicetune.measures.measure import Figure\n\n{code}\n")
    monkeypatch.setattr(catalogue, "__path__", [str(tmp_path)])
    with pytest.raises(UserError) as error:
        catalogue._load("loudness")
    assert str(error.value).startswith(f"{tmp_path}/loudness.py, line 3 fails ({says}")
    assert str(error.value).endswith("); correct it.")


@pytest.mark.parametrize("column", ["seconds", "words"])
def test_a_column_of_takes_csv_or_of_another_measure_is_one_sentence(tmp_path, column):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    code = TOY.replace('{"amplitude"', f'{{"{column}"').replace('Mean("amplitude")', f'Mean("{column}")')
    (tmp_path / "src/voicetune/measures/catalogue/loudness.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "src/compare.py"], env={**os.environ, "PYTHONPATH": "src"}, cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"error: the measure loudness has the column {column}, which takes.csv has already; rename it in"
        " src/voicetune/measures/catalogue/loudness.py.\n"
    )


def walk(place: str) -> None:
    """What the test runs with the copy: parameters, takes, tables, intervals, comparison, verdict, report, choosing."""
    root = made_up.results(Path(place))
    os.chdir(root)

    # parameters
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("  - robustness", "  - loudnes\n  - robustness"))
    with pytest.raises(UserError, match=r"'loudnes', but should be: .*'loudness'"):
        whole.load()
    params = params.replace("  - robustness", "  - robustness\n  - loudness")
    Path("params.yaml").write_text(params.replace("select: mel_ce", "select: amplitude"))
    assert "loudness" in whole.load().evaluate.measures
    assert whole.load().train_phase1.select == "amplitude"

    # takes and their table
    for row in LEVELS:
        measure(row)
    header = Path("metrics/evaluate/base/takes.csv").read_text().split("\n")[0]
    assert header.startswith(COLUMNS)
    assert ",amplitude" in header.removeprefix(COLUMNS), "after those of today"

    # figures, intervals, comparison
    compare.main()
    figures = json.loads(Path("metrics/compare/figures.json").read_text())
    change = json.loads(Path("metrics/compare/changes.json").read_text())["base_phase2"]["amplitude"]
    assert figures["phase2"]["amplitude_low"] < figures["phase2"]["amplitude"] < figures["phase2"]["amplitude_high"]
    assert change["excludes_zero"]
    assert change["difference"] == pytest.approx(figures["phase2"]["amplitude"] - figures["base"]["amplitude"])
    assert json.loads(Path("metrics/voice.json").read_text())["amplitude"] == figures["phase2"]["amplitude"]
    assert "amplitude" in Path("metrics/compare/heard.csv").read_text().split("\n")[0].split(",")

    # verdict and report
    worth = verdict.read(root)[0]
    assert worth.answer == "Yes, amplitude better"
    assert verdict.LIMITS["cost_amplitude"].of.startswith("amplitude below that of the base")
    report.main()
    page = Path("metrics/report/report.md").read_text()
    assert "amplitude: mean absolute amplitude, of full scale, higher is better" in page
    assert re.search(r"^\| base → phase 2 \| amplitude \| \+0\.\d+ \| .* \| better \|$", page, re.M)
    assert "phase 2 speaks with amplitude 0." in page
    assert "amplitude 0.2" in page.split("## Sentences")[1], "each take's own"

    # choosing by ear, and the lists of code files
    assert choosing.measures_of("amplitude") == ("loudness",)
    assert choosing.score("amplitude", {"amplitude": 0.2}) == -0.2
    sources = Path(closure.__file__).parents[1]
    for script in ("choose", "ceiling", "evaluate", "compare", "report"):
        assert "src/voicetune/measures/catalogue/loudness.py" in closure.files(script, sources), script
    for script in ("train", "speak", "publish"):
        assert "src/voicetune/measures/catalogue/loudness.py" not in closure.files(script, sources), script


def measure(row: str) -> None:
    """Measure one row's takes with the toy, and write what stages ceiling and evaluate write."""
    clips = [Clip(id, f"{id}.flac", text, "en", "anna", "one", 1.0, "test") for id, text in made_up.TEXTS.items()]
    tone = np.sin(np.arange(22050) / 20).astype(np.float32)
    said = [Take(clip, 0, LEVELS[row] * scale * tone, True) for clip, scale in zip(clips, (1, 1.3), strict=True)]
    measurer = Measurer(Material(Dataset(Path("none")), clips), None, "cpu", ["loudness"])
    rows = measurer.measure_all(said, 22050)
    assert rows[0]["amplitude"] == pytest.approx(LEVELS[row] * 2 / np.pi, abs=1e-3)
    assert measurer.measure(Take(clips[0], 0, np.zeros(0, np.float32)), 22050)["amplitude"] is None
    folder = Path("metrics/evaluate") / row
    table.write(folder / table.TABLE, rows)
    made_up.write(folder / "facts.json", {"model_sha256": row, "data_sha256": "d"} if row in MODELS else {})
    if row in MODELS:
        columns = {name: np.array([10.0, 20.0]) for name in clip_table.COLUMNS[1:]}
        clip_table.write(folder / clip_table.TABLE, ["a", "b"], columns)
        found = {name: one for name, one in table.figures(rows).items() if name in catalogue.METRICS}
        losses = {"mel_ce": 1.0, "text_ce": 1.0, "mel_ce_stock": 1.0}
        made_up.write(Path(f"metrics/evaluate/{row}.json"), losses | found)
        made_up.write(Path(f"models/{row}/voicetune.json"), {})


def test_a_measure_that_returns_a_column_of_no_figure_is_refused(monkeypatch):
    figures = (Figure("amplitude", "amplitude", 3, "higher", "amplitude", Mean("amplitude")),)
    wrong = Measure(figures=figures, open=lambda _material: lambda _take, _rate, _text: {"volume": 1.0})
    monkeypatch.setitem(catalogue.MEASURES, "loudness", wrong)
    clip = Clip("a", "a.flac", "A.", "en", "anna", "one", 1.0, "test")
    measurer = Measurer(Material(Dataset(Path("none")), [clip]), None, "cpu", ["loudness"])
    with pytest.raises(UserError, match=r"measure loudness returns volume, which none .*catalogue/loudness\.py"):
        measurer.measure(Take(clip, 0, np.zeros(100, np.float32)), 22050)


def test_a_measure_that_returns_nan_is_refused(monkeypatch):
    figures = (Figure("amplitude", "amplitude", 3, "higher", "amplitude", Mean("amplitude")),)
    wrong = Measure(figures=figures, open=lambda _material: lambda _take, _rate, _text: {"amplitude": float("nan")})
    monkeypatch.setitem(catalogue.MEASURES, "loudness", wrong)
    clip = Clip("a", "a.flac", "A.", "en", "anna", "one", 1.0, "test")
    measurer = Measurer(Material(Dataset(Path("none")), [clip]), None, "cpu", ["loudness"])
    with pytest.raises(UserError, match=r"loudness returns nan as amplitude, but should return None .*loudness\.py"):
        measurer.measure(Take(clip, 0, np.zeros(0, np.float32)), 22050)


def test_what_is_measured_and_chosen_by_today_stays():
    assert ",".join(table.COLUMNS).startswith(COLUMNS)
    assert {"cer", "wer", "secs", "mos", "mishaps"} <= set(catalogue.METRICS)
    assert {"mel_ce", "cer", "mos", "composite"} <= set(choosing.SELECTS)
    assert choosing.score("composite", {"cer": 0.25, "secs": 0.5, "mos": 3.0}) == 1.25
    assert choosing.score("mos", {"mos": 3.0}) == -3.0


def test_no_two_measures_share_a_figure():
    assert len(set(results.FIGURES)) == len(results.FIGURES)


def test_a_figure_that_judges_says_what_is_better():
    with pytest.raises(ValueError, match="has to say what is `better`"):
        Figure("level", "level", 2, "", "of a take", Mean("level"), cost=0.1)


def test_the_check_of_parameters_imports_no_library_of_sound():
    code = "import sys; from voicetune.params import whole; print({'torch', 'librosa', 'soxr'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == "set()\n"


def test_the_docs_list_the_measures():
    named = re.findall(r"^\| `(\w+)` \| .* \| .* \|$", (ROOT / "docs/measuring.md").read_text(), re.M)
    assert tuple(name for name in named if name in catalogue.NAMES) == catalogue.NAMES


@pytest.mark.parametrize(
    ("select", "asr"), [("mel_ce", None), ("mos", None), ("cer", "tiny.en"), ("composite", "tiny.en")]
)
def test_a_phase_depends_on_the_recogniser_only_if_its_choice_needs_it(tmp_path, monkeypatch, select, asr):
    (tmp_path / "src").symlink_to(ROOT / "src")
    settings = (ROOT / "params.yaml").read_text().replace("select: mel_ce", f"select: {select}")
    (tmp_path / "params.yaml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    choose.main()
    written = json.loads((tmp_path / "data/choice/train_phase2.json").read_text())
    assert (written["select"], written["asr"]) == (select, asr)
    assert (written["code"] is None) == (select == "mel_ce")
