"""The report: its findings on curves with known answers, and the page that it writes."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import made_up
import numpy as np
import pytest
from html_tags import Tags
from made_up import ROOT, change, write

import report
from voicetune import run_notes
from voicetune.errors import UserError
from voicetune.measures import table, takes
from voicetune.measures.compared import ROWS
from voicetune.params.models import MODELS
from voicetune.report import drawing, inputs, page
from voicetune.report.findings import PhaseCurves, find


def kinds(found) -> dict[str, str]:
    return {one.kind: one.says for one in found}


def falling(steps: int, start: float, slope: float, every: int = 10) -> list[tuple[float, float]]:
    return [(s, start + slope * float(np.log(s))) for s in range(every, steps + 1, every)]


# The run that this project began with. Its owner concluded that phase 2 gained 0.536 nats, that it learned 3.5 times as
# fast per step, and that a mel CE below 2.5 was near. Only the steps of the last three evaluations are not known.
ORIGIN = (
    PhaseCurves("phase 1", 5.046, [(1500, 3.507)], clips_per_step=3),
    PhaseCurves("phase 2", 3.008, [(1, 2.971), (50, 2.971), (100, 2.978), (150, 2.995)], clips_per_step=3, target=2.5),
)


def test_a_phase_without_a_step_says_so():
    second = PhaseCurves("phase 2", 2.4, [], target=2.5, clips_per_step=3)
    found = find([PhaseCurves("phase 1", 3.0, falling(100, 2.8, -0.15), clips_per_step=3), second])
    said = kinds(found)
    assert "Phase 2 took no step" in said["no_step"]
    assert "validation mel CE of 2.400" in said["no_step"]
    assert second.best == (0, 2.4)


def test_the_findings_contradict_three_conclusions_about_the_original_run():
    found = find(ORIGIN)
    said = kinds(found)
    assert "started at a mel CE of 3.008, but the best of phase 1 is 3.507" in said["gain_before_start"]
    assert "0.499 arose before phase 2 started, and only 0.037 is the gain of phase 2" in said["gain_before_start"]
    assert "0.24 times as much" in said["rate"], "not 3.5 times"
    assert "missed by 0.471, and the mel CE of phase 2 no longer falls" in said["target_out_of_reach"]
    assert "its first evaluation, at step 1; 3 later evaluations" in said["first_is_best"]
    assert "from 2.971 to 2.995" in said["rising"]
    warned = {one.kind for one in found if one.warns}
    assert {"gain_before_start", "target_out_of_reach", "first_is_best", "rising"} <= warned


def test_a_good_training_gets_no_warning():
    first = PhaseCurves("phase 1", 3.0, falling(100, 2.8, -0.15), clips_per_step=12)
    second = PhaseCurves("phase 2", first.best[1], [(10, 1.8), (20, 1.6), (30, 1.5)], clips_per_step=12, target=1.55)
    found = find([first, second], {"mel_ce": change(-0.6, 0.05), "cer": change(-0.1, 0.05)}, 30)
    assert [one.says for one in found if one.warns] == []
    assert {"gain", "rate", "differs", "better_than_more", "target_reached"} == set(kinds(found))


def test_overfitting_is_validation_rising_while_training_falls():
    curve = [(10, 2.0), (20, 1.8), (30, 1.9), (40, 2.05)]
    train = [(s, 2.0 - 0.02 * s) for s in range(5, 45, 5)]
    second = PhaseCurves("phase 2", 2.2, curve, train)
    said = kinds(find([PhaseCurves("phase 1", 3.0, [(10, 2.2)]), second]))
    assert "From step 20 on" in said["overfitting"]
    flat = kinds(
        find(
            [
                PhaseCurves("phase 1", 3.0, [(10, 2.2)]),
                PhaseCurves("phase 2", 2.2, curve, [(s, 2.0) for s in range(5, 45, 5)]),
            ]
        )
    )
    assert "overfitting" not in flat
    assert "rising" in flat


def test_a_test_set_that_is_too_small_gives_the_size_it_would_need():
    phases = [PhaseCurves("phase 1", 3.0, [(10, 2.0)]), PhaseCurves("phase 2", 2.0, [(10, 1.98)])]
    said = kinds(find(phases, {"mel_ce": change(-0.02, 0.06)}, 10))
    assert "is not shown to differ: -0.020" in said["no_difference"]
    assert said["test_too_small"].startswith("10 test clips can show a difference of more than about 0.060")
    assert "about 90 test clips" in said["test_too_small"], "a third of the difference needs nine times as many clips"


def test_phase_2_is_compared_with_a_longer_phase_1():
    first = PhaseCurves("phase 1", 3.0, falling(100, 2.8, -0.2), clips_per_step=12)
    bound = 2.8 - 0.2 * np.log(100 + 50 * 6 / 12)
    for reached, kind in ((bound - 0.2, "better_than_more"), (bound + 0.001, "more_of_the_first")):
        second = PhaseCurves("phase 2", first.best[1], [(50, reached)], clips_per_step=6)
        said = kinds(find([first, second], {"mel_ce": change(-0.1, 0.01)}, 30))
        assert f"{bound:.3f}" in said[kind]
        assert len({"better_than_more", "more_of_the_first"} & set(said)) == 1
    assert "Train phase 1 alone for 125 steps" in said["more_of_the_first"]
    few = [
        PhaseCurves("phase 1", 3.0, [(10, 2.0)], clips_per_step=1),
        PhaseCurves("phase 2", 2.0, [(5, 1.9)], clips_per_step=1),
    ]
    assert "too few" in kinds(find(few))["more_unknown"]


@pytest.mark.parametrize(
    ("target", "kind", "said"),
    [(1.75, "target_missed", "times its steps"), (0.5, "target_out_of_reach", "within 10 times")],
)
def test_a_trend_is_extrapolated_to_the_target(target, kind, said):
    second = PhaseCurves("phase 2", 3.0, falling(100, 2.8, -0.2), target=target)
    assert said in kinds(find([PhaseCurves("phase 1", 4.0, [(10, 3.0)]), second]))[kind]


def test_a_nearly_flat_curve_and_a_tiny_difference_are_reported():
    first = PhaseCurves("phase 1", 3.0, [(10, 2.0)])
    second = PhaseCurves("phase 2", 3.0, [(10, 2.0), (20, 2.0 - 1e-9), (30, 2.0 - 2e-9)], target=0.5)
    pair = {"mel_ce": change(-1e-300, 0.1)}
    assert {"target_out_of_reach", "no_difference"} <= set(kinds(find([first, second], pair, 30)))


def test_worse_measures_of_speech_are_reported_although_the_loss_fell():
    phases = [PhaseCurves("phase 1", 3.0, [(10, 2.0)]), PhaseCurves("phase 2", 2.0, [(10, 1.5)])]
    pair = {"mel_ce": change(-0.5, 0.1), "cer": change(0.1, 0.05), "secs": change(-0.1, 0.2), "mos": change(0.1, 0.05)}
    found = [one for one in find(phases, pair, 30) if one.kind == "heard_worse"]
    assert [("CER" in one.says, one.warns) for one in found] == [(True, True), (False, False)]
    assert "could be chance" in found[1].says


def test_an_unmeasured_start_is_reported():
    found = find([PhaseCurves("phase 1", None, [(10, 2.0)]), PhaseCurves("phase 2", 2.0, [(10, 1.5)])])
    assert "before the first step of phase 1 was not measured" in kinds(found)["start_unknown"]


# The page


@pytest.fixture
def repository(tmp_path) -> Path:
    return made_up.results(tmp_path / "repository")


def build(repository: Path, out: Path) -> tuple[str, str]:
    page.write(inputs.read(repository), repository, out)
    assert {path.name for path in out.iterdir()} == {"index.html", "report.md"}
    return (out / "index.html").read_text(), (out / "report.md").read_text()


def test_the_page_is_complete_and_requests_nothing_from_a_network(repository, tmp_path):
    html, _ = build(repository, tmp_path / "out")
    found = Tags(html)
    assert found.open == []
    addresses = [a[name] for _, a in found.tags for name in ("src", "href", "xlink:href") if name in a]
    assert [address for address in addresses if not address.startswith(("data:", "#"))] == ["../run/run.js"]
    assert [a["src"] for tag, a in found.tags if tag == "script" and "src" in a] == ["../run/run.js"]
    assert "default-src 'none'" in html
    assert not re.search(r"https?:", re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1])
    sounds = [a for tag, a in found.tags if tag == "audio"]
    assert len(sounds) == 2 * 5
    assert all(sound["aria-label"] and "controls" in sound for sound in sounds)
    assert sum(tag == "img" for tag, _ in found.tags) == 2 * 5
    assert all(a["alt"] for tag, a in found.tags if tag == "img")
    assert html.index("Said &amp; done.") < html.index("Is 1 &lt; 2?"), "the worst sentence comes first"
    for text in ("never stopped", "currentColor", "d" * 64, "text_weight: 0.01", "+0.100"):
        assert text in html
    assert not re.search(r"\bnan\b|None|/tmp|20\d\d-\d\d-\d\d", re.sub(r"base64,[^\"]*", "", html))


def test_the_page_says_at_its_top_that_it_holds_recordings_of_people(repository, tmp_path):
    html, _ = build(repository, tmp_path / "out")
    assert "Recordings of people." in html[: html.index("<nav")]


def test_the_same_results_give_the_same_bytes(repository, tmp_path):
    assert build(repository, tmp_path / "a") == build(repository, tmp_path / "b")


def test_the_markdown_report_has_the_same_figures(repository, tmp_path):
    html, text = build(repository, tmp_path / "out")
    assert text.startswith(
        "# The voice, measured\n\n- Was the fine-tuning worth it? **Not shown by the measures of the speech:** "
    )
    assert "\n\n24 steps of phase 1 and 24 of phase 2 on 0.0 minutes" in text
    assert 'a \\| "b"' in text, "a bar in a cell is escaped"
    assert "| CER | 0.100 [0.050, 0.200] |" in text
    for row in (line for line in text.splitlines() if line.startswith("|")):
        assert len(re.findall(r"(?<!\\)\|", row)) in (4, 6, 7), row
    assert "base → phase 1 | mel CE | -0.100 | -0.120 to -0.080 | better |" in text
    assert "not different from zero" in text
    assert "Heard by people" not in text + html


def test_the_report_includes_the_listening_test(repository, tmp_path):
    write(repository / "metrics/listening.json", {
        "raters": 3, "pairs": {"phase1_phase2": {"preferred": 0.7, "low": 0.5, "high": 0.84, "votes": 24, "ties": 2}},
        "mos": {"phase2": {"mean": 3.5, "low": 3.1, "high": 3.9, "ratings": 24}}, "agreement": 0.61,
    })  # fmt: skip
    for text in build(repository, tmp_path / "out"):
        assert "phase 2 was preferred to phase 1 in 70 % of 24 votes (95 % interval 50 to 84 %; 2 ties)" in text
        assert "MOS of phase 2: 3.50 [3.10, 3.90], 24 ratings" in text
        assert "0.61" in text


def test_dollar_signs_in_a_source_name_are_not_a_formula(repository):
    clips = [inputs.Clip(str(i), f"{i}.flac", "A.", "en", "anna", "$\\frac{$", 1.0 + i, "train") for i in range(3)]
    assert "frac{" in drawing.durations(clips)


def words_of(svg: str) -> list[str]:
    return ["".join(one.itertext()).strip() for one in ElementTree.fromstring(svg).iter() if one.tag.endswith("}text")]


def test_the_picture_shows_the_curves_and_every_row_that_was_measured(repository, monkeypatch):
    monkeypatch.chdir(repository)
    results, path = inputs.read(repository), Path("metrics/result.svg")
    results.figures["codec"] = {}
    page.write_picture(results, path)
    words = words_of(path.read_text(encoding="utf-8"))
    assert {"phase 1, best 2.100", "phase 2, best 2.000"} <= set(words)
    measured = ("base", "phase 1", "phase 2", "recordings", "0.100", "0.900")
    assert [words.count(one) for one in measured] == [2, 2, 2, 2, 4, 4]
    assert "codec" not in words
    first = path.read_bytes()
    page.write_picture(results, path)
    assert path.read_bytes() == first


def test_the_picture_in_the_readme_shows_the_committed_figures():
    assert "](metrics/result.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")
    words = words_of((ROOT / "metrics/result.svg").read_text(encoding="utf-8"))
    for model in MODELS:
        figures = json.loads((ROOT / f"metrics/evaluate/{model}.json").read_text(encoding="utf-8"))
        assert {f"{figures[name]:.3f}" for name in ("cer", "secs") if name in figures} <= set(words)


def test_a_take_outside_the_folder_is_refused(repository, tmp_path):
    outside = shutil.copy(repository / "data/spoken/base/a.flac", tmp_path / "outside.flac")
    (repository / "data/spoken/phase2/a.flac").unlink()
    (repository / "data/spoken/phase2/a.flac").symlink_to(outside)
    with pytest.raises(UserError, match=r"a\.flac leads out of .* through a link"):
        build(repository, tmp_path / "out")
    path = repository / "metrics/evaluate/phase2/takes.csv"
    for id in ("../../../../outside", str(tmp_path / "outside")):
        path.write_text(path.read_text().replace("\na,", f"\n{id},"))
        with pytest.raises(UserError, match=r"line 2 has a 'id' that should be a plain name"):
            build(repository, tmp_path / "out")


def test_without_spoken_takes_there_is_no_section_of_sentences(repository, tmp_path):
    for row in ROWS:
        shutil.rmtree(repository / "data/spoken" / row)
        takes.save(repository / "data/spoken" / row, [], 22050)
        table.write(repository / "metrics/evaluate" / row / table.TABLE, [])
    html, text = build(repository, tmp_path / "out")
    assert "worst first" not in html + text
    assert "Recordings of people." not in html


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics/compare/figures.json", "{"),
        ("metrics/compare/figures.json", None),
        ("metrics/compare/changes.json", "{"),
        ("metrics/compare/changes.json", None),
        ("metrics/prepare.json", "[]"),
        ("metrics/train_phase1/plots/metrics/validation/mel_ce.tsv", "step\tmel_ce\nx\ty\n"),
        ("metrics/train_phase1/plots/metrics/validation/mel_ce.tsv", None),
        ("metrics/evaluate/codec/takes.csv", "id,take\n"),
        ("metrics/evaluate/codec/takes.csv", None),
        ("data/quality/clips.csv", None),
        ("data/spoken/base/a.flac", None),
    ],
)
def test_results_that_cannot_be_read_are_named(repository, tmp_path, name, content):
    path = repository / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError) as raised:
        build(repository, tmp_path / "out")
    assert path.name in str(raised.value) or "train_phase1" in str(raised.value)
    assert "dvc repro" in str(raised.value)


# Notes of the last run, which differ from run to run


def run_js(repository: Path) -> dict:
    """The notes of the last run, from run.js: `window.voicetuneRun = ` and JSON."""
    text = (repository / "metrics/run/run.js").read_text(encoding="utf-8")
    beginning, json_text = text.split(" = ", 1)
    assert beginning == "window.voicetuneRun"
    assert json_text.endswith("};\n")
    assert text.isascii()
    assert "<" not in text, "it can contain no tag"
    return json.loads(json_text.removesuffix(";\n"))


def test_notes_of_the_last_run_are_beside_the_report_and_not_in_it(repository, monkeypatch):
    monkeypatch.chdir(repository)

    def reported() -> dict[str, bytes]:
        report.main()
        return {path.name: path.read_bytes() for path in Path("metrics/report").iterdir()}

    first = reported()
    assert set(first) == {"index.html", "report.md"}
    assert run_js(repository) == {"train_phase2": {"seconds": 61.5, "restarts": [{"step": 12, "why": "killed"}]}}
    write(repository / "metrics/run/train_phase2.json", {"seconds": 3600.0, "memory_gib": 9.5, "restarts": []})
    write(repository / "metrics/run/evaluate@base.json", {"seconds": 12.0})
    assert reported() == first
    assert list(run_js(repository)) == ["evaluate@base", "train_phase2"]
    assert run_js(repository)["train_phase2"]["memory_gib"] == 9.5
    shutil.rmtree(repository / "metrics/run")
    assert reported() == first
    assert run_js(repository) == {}


def test_markup_in_a_restarts_reason_stays_text(repository):
    why = "RuntimeError: </script><script>alert(1)</script> & \u2028 <!-- \"'"
    write(repository / "metrics/run/train_phase1.json", {"restarts": [{"step": 3, "why": why}]})
    page.write_run(repository)
    assert run_js(repository)["train_phase1"]["restarts"] == [{"step": 3, "why": why}]


def test_a_damaged_note_of_a_run_is_ignored_and_replaced(repository, monkeypatch):
    """A power cut may leave an incomplete file."""
    monkeypatch.chdir(repository)
    Path("metrics/run/prepare.json").write_text('{"seconds": 1')
    report.main()
    assert list(run_js(repository)) == ["train_phase2"]
    run_notes.add("prepare", {"seconds": 2.0})
    page.write_run(repository)
    assert run_js(repository)["prepare"] == {"seconds": 2.0}
    run_notes.add("prepare", {"restarts": []})
    assert json.loads(Path("metrics/run/prepare.json").read_text()) == {"seconds": 2.0, "restarts": []}


# The steps of phase 2 are logged after those of phase 1, but the report counts them from phase 2's own start


def test_steps_of_phase_2_are_counted_from_its_own_start(repository, tmp_path, monkeypatch):
    logged = repository / "metrics/train_phase2/plots/metrics"
    assert (logged / "validation/mel_ce.tsv").read_text().split()[2] == "24", "the last step of phase 1"
    (logged / "train").mkdir()
    (logged / "train/mel_ce.tsv").write_text("step\tmel_ce\n28\t2.2\n48\t1.9\n")
    first, second = inputs.read(repository).phases
    assert (first.start, first.validation, first.steps) == (2.5, [(12, 2.2), (24, 2.1)], 24)
    assert (second.start, second.validation, second.steps) == (2.1, [(12, 2.05), (24, 2.0)], 24)
    assert second.train == [(4, 2.2), (24, 1.9)]
    drawn: list[tuple[float, float]] = []
    line = drawing._line

    def seen(axes, points, offset, **style):
        drawn.extend((step + offset, value) for step, value in points)
        line(axes, points, offset, **style)

    monkeypatch.setattr(drawing, "_line", seen)
    for text in build(repository, tmp_path / "out"):
        assert "24 steps of phase 1 and 24 of phase 2" in text
        assert "phase 2: best at step 24 of 24" in text
        assert "Phase 2 changed the validation mel CE from 2.100, measured before its first step, to 2.000" in text
        assert not re.search(r"step (36|48)\b| of 48\b", text)
    assert drawn == [(0, 2.5), (12, 2.2), (24, 2.1), (24, 2.1), (36, 2.05), (48, 2.0), (28, 2.2), (48, 1.9)]


# Wording


def test_no_text_calls_a_result_certain():
    found = find(
        [PhaseCurves("phase 1", 3.0, [(10, 2.0)]), PhaseCurves("phase 2", 2.0, [(10, 1.5)])],
        {"mel_ce": change(-0.5, 0.1)},
        30,
    )
    assert "interval over 30 clips, -0.600 to -0.400, excludes zero" in kinds(found)["differs"]
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")]
    files += [path for path in (ROOT / "src").rglob("*") if path.suffix in (".py", ".j2", ".js", ".css")]
    assert len(files) > 60
    said = [path.name for path in files if "for certain" in " ".join(path.read_text(encoding="utf-8").split())]
    assert said == []
