"""Audiofolders of Hugging Face: metadata.csv or metadata.jsonl, at the top or in each split's folder."""

import json

import pytest
from sources import clips, faults, refusal, write


def test_a_csv_at_the_top(tmp_path):
    rows = 'file_name,transcription,speaker_id\ndata/a.mp3,"One, two.",7\ndata/b.mp3,"She said ""yes"".",\n'
    write(tmp_path, {"metadata.csv": rows, "data/a.mp3": "", "data/b.mp3": ""})
    assert clips("audiofolder", tmp_path) == [
        ("s-data-a", "One, two.", "7", "data/a.mp3"),
        ("s-data-b", 'She said "yes".', "someone", "data/b.mp3"),
    ]


def test_json_lines_in_each_split(tmp_path):
    line = {"file_name": "a.wav", "text": "Jó estét!", "extra": [1, None]}
    lists = {f"{split}/metadata.jsonl": json.dumps(line) + "\n" for split in ("train", "test")}
    write(tmp_path, {**lists, "train/a.wav": "", "test/a.wav": ""})
    assert clips("audiofolder", tmp_path, language="hu") == [
        ("s-test-a", "Jó estét!", "someone", "test/a.wav"),
        ("s-train-a", "Jó estét!", "someone", "train/a.wav"),
    ]


def test_missing_and_outside_recordings_are_faults(tmp_path):
    folder = tmp_path / "d"
    write(
        folder,
        {"train/metadata.csv": "file_name,text\na.wav,One.\n../b.wav,Two.\n../../c.wav,Three.\ngone.wav,Four.\n"},
    )
    write(tmp_path, {"d/train/a.wav": "", "d/b.wav": "", "c.wav": ""})
    assert [one[0] for one in clips("audiofolder", folder)] == ["s-train-a", "s-b"]
    assert {id: fault.split(":")[0] for id, fault in faults("audiofolder", folder).items()} == {
        "s-c": "outside the source", "s-train-gone": "missing recording",
    }  # fmt: skip


BAD = {
    "no list": ({}, "holds no metadata.csv or metadata.jsonl; create one with file_name and text"),
    "no header": ({"metadata.csv": "a.wav,One.\n"}, "metadata.csv, line 1 is 'a.wav,One.', but should be a header"),
    "no text": (
        {"metadata.csv": "file_name,label\na.wav,dog\n"},
        "line 2 has no text under text, transcription, trans",
    ),
    "a comma": (
        {"metadata.csv": "file_name,text\na.wav,One, two.\n"},
        "line 2 has 3 fields, and the header has 2; writ",
    ),
    "an open quotation": (
        {"metadata.csv": 'file_name,text\na.wav,"One\ntwo."\n'},
        "line 2 is no CSV (unexpected end of",
    ),
    "no file": (
        {"metadata.csv": "file_name,text\n,One.\n"},
        "line 2 has no file_name; write the path of its recording",
    ),
    "no JSON": ({"metadata.jsonl": "{'file_name': 'a'}\n"}, 'metadata.jsonl, line 1 is no JSON object: "{'),
    "a number": (
        {"metadata.jsonl": '{"file_name": "a.wav", "text": 1.5}\n'},
        "line 1 has 1.5 under 'text'; write a text",
    ),
    "a recording twice": ({"metadata.csv": "file_name,text\na.wav,One.\na.wav,Two.\n"}, "line 3 repeats the id 'a' of"),
    "an empty list": ({"metadata.jsonl": "\n"}, "metadata.jsonl holds no lines; write one JSON object a line"),
    "HTML": (
        {"metadata.csv": "<html>\n"},
        "metadata.csv, line 1 is '<html>', but should be a header such as file_name",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_list_is_one_sentence(tmp_path, name):
    files, wanted = BAD[name]
    assert wanted in refusal("audiofolder", write(tmp_path, files))
