"""The table of a person's decisions, and what stage prepare makes of it."""

import argparse
import csv
import re
from pathlib import Path

import pytest
from test_prepare import LINES, RATE, tone, write_params, write_script
from test_stages import clone, run

import prepare
from voicetune.commands import runs
from voicetune.data import clip, decisions, sounds
from voicetune.data.decisions import Decision
from voicetune.data.utterance import Recording, Utterance
from voicetune.errors import UserError

ROOT = Path(__file__).parents[1]
HEADER = "id,decision,text\n"


def read(folder: Path, content: str | bytes) -> dict[str, Decision]:
    path = folder / "decisions.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return decisions.read(path)


def test_the_table_of_this_repository_has_no_decisions():
    assert (ROOT / decisions.PATH).read_text(encoding="utf-8") == HEADER
    assert decisions.read(ROOT / decisions.PATH) == {}


ROWS = 'a,reject,\nb,accept,\nc,,"Well, he said ""no""."\n\nd, accept ,\u0020Two  words \n,,\n'


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_as_an_editor_saves_it(tmp_path, mark, end):
    content = mark + (HEADER + ROWS).replace("\n", end)
    wanted = [
        Decision("a", "reject", ""), Decision("b", "accept", ""), Decision("c", "", 'Well, he said "no".'),
        Decision("d", "accept", "Two words"),
    ]  # fmt: skip
    assert read(tmp_path, content) == {one.id: one for one in wanted}
    assert read(tmp_path, content.rstrip()) == {one.id: one for one in wanted}, "without the last line end"


def test_an_id_stays_as_it_is(tmp_path):
    assert list(read(tmp_path, f"{HEADER}anna-a  b ,reject,\n")) == ["anna-a  b "], "a file's name may have such spaces"


def test_line_ends_and_unicode_forms_of_a_text_are_made_one(tmp_path):
    assert read(tmp_path, f'{HEADER}cafe\u0301,,"cafe\u0301\r\n  here"\r\n') == {
        "caf\u00e9": Decision("caf\u00e9", "", "caf\u00e9 here")
    }


FAULTS = {
    "empty": ("", "line 1 is empty; write the header id,decision,text there"),
    "no header": ("a,reject,\n", "line 1 is 'a,reject,'; write the header id,decision,text there, with commas"),
    "semicolons": ("id;decision;text\n", "line 1 is 'id;decision;text'; write the header"),
    "two cells": (HEADER + "a,reject\n", "line 2 has 2 cells instead of 3; write it as id,decision,text"),
    "a comma in a text": (HEADER + "a,,\nb,,Well, no.\n", "line 3 has 4 cells instead of 3; write it as"),
    "no id": (HEADER + ",reject,\n", "line 2 has no id; begin it with the id of a clip"),
    "another word": (HEADER + "a,keep,\n", "line 2 has the decision 'keep'; write accept, reject or nothing"),
    "twice": (HEADER + "a,reject,\nb,,x\na,accept,\n", "line 4 repeats the id 'a' of line 2; remove one of the two"),
    "an open quotation mark": (HEADER + 'a,,"No end\n', "line 2 is no CSV (unexpected end of data); put quotation"),
    "a cell of 200 kB": (HEADER + f"a,,{'x' * 200_000}\n", "line 2 has a cell of more than 131,072 characters; short"),
    "a NUL": (HEADER + "a,,x\nb,,N\0UL\n", "line 3 has a NUL character; remove it, and save the file in the encoding"),
    "UTF-16": ((HEADER + "a,reject,\n").encode("utf-16"), "is not UTF-8 but looks like UTF-16; save the file again"),
    "Latin-2": (HEADER.encode() + "a,,őr\n".encode("iso8859-2"), "line 2 is not UTF-8; save the file again"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_table_is_one_sentence(tmp_path, fault):
    content, wanted = FAULTS[fault]
    with pytest.raises(UserError) as error:
        read(tmp_path, content)
    told = str(error.value)
    assert told.startswith(str(tmp_path / "decisions.csv"))
    assert wanted in told
    assert told.endswith(".")
    assert "\n" not in told


def test_a_missing_table_is_reported_with_its_remedy(tmp_path, monkeypatch):
    """`make repro` runs this check before `dvc repro`, which would report the missing file without a remedy."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("voicetune.readiness.check_params", lambda params: None)
    with pytest.raises(UserError, match=r"data/decisions.csv is missing; restore it with `git checkout data/decis"):
        runs.check(argparse.Namespace(params=Path("params.yaml")))


def utterance(id: str, text: str = "Said.", fault: str = "") -> Utterance:
    return Utterance(id, text, "en", "someone", id.split("-")[0], Recording(Path("gone.wav")), fault)


def test_decisions_change_the_utterances_that_they_name(tmp_path):
    decided = read(tmp_path, HEADER + "a-1,reject,New.\na-2,accept,New.\na-3,,New.\na-4,accept,\n")
    before = [utterance(f"a-{i}") for i in range(6)]
    after = decisions.apply(decided, before)
    assert [one.text for one in after] == ["Said.", "", "New.", "New.", "Said.", "Said."]
    assert [one.fault for one in after] == ["", "rejected: in data/decisions.csv", "", "", "", ""]
    assert (after[0], after[4], after[5]) == (before[0], before[4], before[5])


def test_a_correction_does_not_hide_a_fault_of_the_recording(tmp_path):
    decided = read(tmp_path, HEADER + "a-1,accept,New.\n")
    assert decisions.apply(decided, [utterance("a-1", fault="missing recording: x")])[0].fault.startswith("missing")


def test_ids_that_no_source_has_give_one_warning(tmp_path):
    decided = read(tmp_path, HEADER + "".join(f"{id},reject,\n" for id in ("a-1", "x\x1b", "b", "c", "d", "e")))
    (told,) = decisions.warnings(decided, [utterance("a-1")])
    assert told.startswith("warning: data/decisions.csv decides about 'b', 'c', 'd' and 2 more, which no source has;")
    assert decisions.warnings({"a-1": decided["a-1"]}, [utterance("a-1")]) == []
    (told,) = decisions.warnings(read(tmp_path, HEADER + "a-1 ,reject,\n"), [utterance("a-1")])
    assert told.endswith(
        "'a-1 ', which no source has; correct the id (take the spaces at its ends away), or remove the line"
    )


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ("".join(f"host-{i},reject,\n" for i in range(8)), "all 8 clips are left out, for example 'host-0'"),
        ("".join(f"host-{i},reject,\n" for i in range(6)), "2 clip(s) remain, and none is left for validation"),
    ],
)
def test_who_rejects_too_much_is_told_where_to_take_it_back(project, monkeypatch, rows, wanted):
    with pytest.raises(UserError) as error:
        prepared(project, monkeypatch, rows)
    assert str(error.value).startswith(wanted)
    assert "see data/clips/left_out.csv and take back decisions in data/decisions.csv" in str(error.value)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A source of eight lines, host-0 to host-7, whose sounds are tones."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, [write_script(tmp_path)])
    return tmp_path


def prepared(project: Path, monkeypatch, rows: str) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Run stage prepare. Return the texts of the clips, the reasons of those left out, and the ids decoded."""
    decoded: list[str] = []
    monkeypatch.setattr(sounds, "sound", lambda one: decoded.append(one.id) or (tone(1.0), RATE))
    (project / decisions.PATH).write_text(HEADER + rows, encoding="utf-8")
    prepare.main()
    with (project / "data/clips/left_out.csv").open(encoding="utf-8", newline="") as file:
        left_out = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    return {one.id: one.text for one in clip.read(project / "data/clips/clips.csv")}, left_out, decoded


def test_prepare_leaves_out_what_is_rejected_without_decoding_it(project, monkeypatch, capsys):
    texts, left_out, decoded = prepared(project, monkeypatch, "host-3,reject,\nhost-5,accept,\nhost-9,reject,\n")
    assert left_out == {"host-3": "rejected: in data/decisions.csv"}
    assert set(decoded) == set(texts) == {f"host-{i}" for i in range(8)} - {"host-3"}
    told = capsys.readouterr().out.splitlines()
    assert "left out: 1 (rejected), see data/clips/left_out.csv" in told
    assert [line for line in told if re.match("warning: data/decisions.csv decides about 'host-9', which no", line)]


def test_prepare_checks_and_writes_the_corrected_texts(project, monkeypatch):
    rows = "host-0,,Which river?\nhost-1,,...!\nhost-2,accept,<b>Hands</b>\n"
    texts, left_out, decoded = prepared(project, monkeypatch, rows)
    assert texts["host-0"] == "Which river?"
    assert left_out == {"host-1": "no words in the text", "host-2": "HTML in the text: <b>"}
    assert not {"host-1", "host-2"} & set(decoded)
    assert texts["host-4"] == LINES[4]


def test_no_decision_changes_no_byte_of_the_clips(project, monkeypatch):
    def written() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (project / "data/clips").iterdir()}

    prepared(project, monkeypatch, "")
    before = written()
    (project / decisions.PATH).unlink()
    prepare.main()
    assert written() == before
    prepared(project, monkeypatch, "host-0,accept,\nhost-1,,\n")
    assert written() == before


def test_dvc_repeats_prepare_after_a_decision_and_names_a_missing_table(tmp_path):
    folder = clone(tmp_path, (ROOT / "params.yaml").read_text(encoding="utf-8"), lines=None)
    assert str(decisions.PATH) in run(folder, "dvc", "status", "prepare")
    (folder / decisions.PATH).unlink()
    told = run(folder, "dvc", "repro", "-s", "prepare", ok=False)
    assert "data/decisions.csv" in told
    assert "Traceback" not in told
