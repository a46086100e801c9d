"""JSON lines: manifests of NeMo with and without offsets, and other names for the audio."""

import json
from pathlib import Path

import pytest
from sources import clips, faults, read, refusal, write

from voicetune.data.utterance import Recording, Segment


def lines(*objects: object) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


def test_a_manifest_of_nemo(tmp_path):
    manifest = lines(
        {
            "audio_filepath": "talk.flac",
            "text": "One.",
            "duration": 1.5,
            "offset": 12.3,
            "speaker": "anna",
            "lang": "en",
        },
        {"audio_filepath": "talk.flac", "text": "Two.", "duration": 2, "offset": 14},
        {"audio_filepath": f"{tmp_path}/a.wav", "text": "Three.", "duration": 3.5},
    )
    write(tmp_path, {"train_manifest.json": manifest, "config.json": '{\n "a": 1\n}\n', "talk.flac": "", "a.wav": ""})
    talk = tmp_path / "talk.flac"
    assert [(u.id, u.text, u.speaker, u.origin, u.fault) for u in read("jsonl", tmp_path)] == [
        ("s-talk-00012300", "One.", "anna", Segment(talk, 12.3, 13.8), ""),
        ("s-talk-00014000", "Two.", "someone", Segment(talk, 14.0, 16.0), ""),
        ("s-a", "Three.", "someone", Recording(tmp_path / "a.wav"), ""),
    ]


def test_paths_of_the_machine_that_wrote_a_manifest(tmp_path):
    """The longest end of the path that is in the folder counts: there is a.wav in two folders."""
    rows = [{"audio_filepath": f"{place}/{name}", "text": place} for place, name in
            (("/home/anna/ASR/train", "a.wav"), ("/home/anna/ASR/val", "a.wav"), ("D:\\ASR\\val", "b.wav"),
             ("/home/anna/ASR/val", "gone.wav"))]  # fmt: skip
    write(tmp_path, {"m.json": lines(*rows), **dict.fromkeys(("a.wav", "train/a.wav", "val/a.flac", "val/b.wav"), "")})
    assert [(one[0], one[3]) for one in clips("jsonl", tmp_path)] == [
        ("s-train-a", "train/a.wav"), ("s-val-a", "val/a.flac"), ("s-val-b", "val/b.wav"),
    ]  # fmt: skip
    assert faults("jsonl", tmp_path)["s-gone"].startswith("outside the source: /home/anna/ASR/val/gone.wav is not in")


@pytest.mark.parametrize("key", ["audio", "path", "file", "audio_path"])
def test_other_names(tmp_path, key):
    write(tmp_path, {"data.jsonl": lines({key: "x/a.wav", "sentence": "One.\nTwo.", "speaker_id": 3}), "x/a.wav": ""})
    assert clips("jsonl", tmp_path) == [("s-x-a", "One. Two.", "3", "x/a.wav")]


def test_a_column_of_hugging_face(tmp_path):
    one = {"audio": {"path": "a.wav", "bytes": None}, "transcription": "One.", "language": "EN-us"}
    write(tmp_path, {"data.jsonl": lines(one), "a.wav": ""})
    assert clips("jsonl", tmp_path) == [("s-a", "One.", "someone", "a.wav")]


def test_faults_of_single_lines(tmp_path):
    folder = tmp_path / "d"
    rows = [{"audio": "a.wav", "text": "One."}, {"audio": "b.wav", "text": "Zwei.", "lang": "de"},
            {"audio": "gone.wav", "text": "Two."}, {"audio": "/etc/passwd", "text": "Three."}]  # fmt: skip
    write(folder, {"data.jsonl": lines(*rows), "a.wav": "", "b.wav": ""})
    assert [one[0] for one in clips("jsonl", folder)] == ["s-a"]
    assert {id: fault.split(":")[0] for id, fault in faults("jsonl", folder).items()} == {
        "s-b": "another language", "s-gone": "missing recording", "s-passwd": "outside the source",
    }  # fmt: skip


A = {"audio": "a.wav", "text": "One."}
BAD = {
    "no file": ("other.txt", "", "holds no .jsonl file; write one JSON object a line into it"),
    "an empty file": ("a.jsonl", "", "a.jsonl holds no lines; write one JSON object a line"),
    "a whole list": ("a.jsonl", json.dumps([A]), "a.jsonl, line 1 is no JSON object: '[{"),
    "half an object": ("a.jsonl", lines(A) + '{"audio": ', "a.jsonl, line 2 is no JSON object: '{\"audio\": '"),
    "deep nesting": ("a.jsonl", "[" * 99999, "a.jsonl, line 1 is no JSON object: '[[["),
    "a number of 5,000 digits": ("a.jsonl", '{"offset": ' + "9" * 5000 + "}", "a.jsonl, line 1 is no JSON object"),
    "no audio": (
        "a.jsonl",
        lines({"text": "One."}),
        "a.jsonl, line 1 names no audio; write its path under audio_filep",
    ),
    "a text that is a list": ("a.jsonl", lines({**A, "text": ["x"]}), "line 1 has ['x'] under 'text'; write a text"),
    "half a character": (
        "a.jsonl",
        '{"audio": "a.wav", "text": "\\ud800"}',
        "line 1 has '\\ud800' under 'text'; write",
    ),
    "an offset in words": (
        "a.jsonl",
        lines({**A, "offset": "0:12", "duration": 1}),
        "line 1 has '0:12' under 'offset'",
    ),
    "an offset of NaN": ("a.jsonl", '{"audio": "a.wav", "offset": NaN}', "line 1 has nan under 'offset'; write a num"),
    "no duration": ("a.jsonl", lines({**A, "offset": 1}), "line 1 has an offset and no duration; write how many"),
    "the same sound twice": ("a.jsonl", lines(A, A), "a.jsonl, line 2 repeats the id 'a' of line 1"),
    "a NUL in a name": ("a.jsonl", lines({"audio": "a\0.wav", "text": "x"}), "line 1 has the id 'a\\x00'; use a plain"),
    "a name of 300 letters": (
        "a.jsonl",
        lines({"audio": "a" * 300, "text": "x"}),
        "line 1 has an id of 300 characters",
    ),
    "HTML": ("a.jsonl", "<html>\n", "a.jsonl, line 1 is no JSON object: '<html>'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_sentence(tmp_path, name):
    file, content, wanted = BAD[name]
    assert wanted in refusal("jsonl", write(tmp_path, {file: content}))


def test_a_link_out_is_refused(tmp_path):
    write(tmp_path, {"secret": "swordfish\n", "d/b": ""})
    Path(tmp_path / "d/a.jsonl").symlink_to(tmp_path / "secret")
    assert "a.jsonl is a link that leads out of" in refusal("jsonl", tmp_path / "d")
