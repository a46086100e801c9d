"""Sounds with texts of the same names, also in folders, and in old encodings."""

import os
import unicodedata

from sources import clips, faults, refusal, write


def test_folders_are_read_and_name_no_speaker(tmp_path):
    write(tmp_path, {
        "a.wav": "", "a.txt": "One.\nTwo.\r\n", "Bob/a.m4a": "", "Bob/a.lab": "Three.", "both.mp3": "", "both.flac": "",
        "both.txt": "Four.", "x.y.wav": "", "x.y.txt": "Five.", "._a.wav": "", ".DS_Store": "x", "notes.pdf": "",
    })  # fmt: skip
    assert clips("texts", tmp_path) == [
        ("s-Bob-a", "Three.", "someone", "Bob/a.m4a"),
        ("s-a", "One. Two.", "someone", "a.wav"),
        ("s-both", "Four.", "someone", "both.flac"),
        ("s-x.y", "Five.", "someone", "x.y.wav"),
    ]


def test_names_in_two_unicode_forms_are_the_same(tmp_path):
    write(tmp_path, {unicodedata.normalize("NFD", "é.wav"): "", unicodedata.normalize("NFC", "é.txt"): "One."})
    assert [one[:2] for one in clips("texts", tmp_path)] == [("s-é", "One.")]


def test_encodings_are_told_once_and_an_unsure_one_is_a_fault(tmp_path, capsys):
    lines = {"1": "Příliš žluťoučký kůň.", "2": "Dobrý den, vážení."}
    write(tmp_path, {name: line.encode("cp1250") for name, line in ((f"{i}.txt", text) for i, text in lines.items())})
    write(tmp_path, {"3.txt": "Škoda".encode("mac_latin2"), "4.txt": "\ufeffUTF-16.".encode("utf-16-le")})
    write(tmp_path, {f"{i}.wav": "" for i in range(1, 5)})
    found = clips("texts", tmp_path, language="cs")
    assert [one[1] for one in found] == [*lines.values(), "UTF-16."]
    assert faults("texts", tmp_path, language="cs")["s-3"] == (
        f"unreadable text: {tmp_path}/3.txt, line 1 is not UTF-8, and its encoding is not sure; convert the file, for "
        "example with `iconv -f cp1250 -t UTF-8`, and look at the letters."
    )
    assert capsys.readouterr().out.splitlines() == [
        f"the texts in {tmp_path} are read as cp1250, and not as UTF-8",
        f"the texts in {tmp_path} are read as UTF-16, and not as UTF-8",
    ]


def test_faults_of_single_clips(tmp_path):
    folder = tmp_path / "d"
    write(
        folder,
        {"a.wav": "", "a.txt": "One.", "b.wav": "", "c.txt": "Two.", "d.wav": "", "d.txt": b"O\0ne.", "e.wav": ""},
    )
    write(tmp_path, {"secret": "swordfish"})
    (folder / "e.txt").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "f.txt")
    assert [one[0] for one in clips("texts", folder)] == ["s-a"]
    found = faults("texts", folder)
    assert found["s-b"] == f"missing text: {folder}/b.txt"
    assert found["s-c"] == f"missing recording: {folder}/c.wav"
    assert found["s-d"].startswith(f"unreadable text: {folder}/d.txt has NUL bytes")
    assert found["s-e"].startswith(f"unreadable text: {folder}/e.txt is a link that leads out")
    assert "s-f" in found


def test_a_folder_without_recordings_and_a_name_too_long_are_one_sentence(tmp_path):
    assert "holds no clip; add recordings, or correct the path of 's'" in refusal("texts", tmp_path / "gone")
    write(tmp_path, {"a/" * 40 + "b" * 30 + ".wav": ""})
    assert "has an id of 110 characters; shorten it to at most 100" in refusal("texts", tmp_path)
