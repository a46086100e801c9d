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


KOI8 = ["Добрый вечер.", "А.", "Иван Иванович, какая река течёт через Москву?", "Да."]


def test_the_encoding_of_short_texts_is_decided_together_and_printed_once(tmp_path, capsys):
    write(tmp_path, {f"{i}.txt": text.encode("koi8_r") for i, text in enumerate(KOI8)})
    write(tmp_path, {"x.txt": "\ufeffUTF-16.".encode("utf-16-le"), **{f"{i}.wav": "" for i in (*range(4), "x")}})
    assert [one[1] for one in clips("texts", tmp_path, language="ru")] == [*KOI8, "UTF-16."]
    assert capsys.readouterr().out.splitlines() == [
        f"texts in {tmp_path} are read as koi8_r, and not as UTF-8",
        f"texts in {tmp_path} are read as UTF-16, and not as UTF-8",
    ]


def test_short_texts_in_an_encoding_that_is_not_sure_are_faults(tmp_path):
    write(tmp_path, {"a.wav": "", "a.txt": "Škoda".encode("mac_latin2"), "b.wav": "", "b.txt": "Škoda"})
    assert [one[1] for one in clips("texts", tmp_path, language="cs")] == ["Škoda"]
    assert faults("texts", tmp_path, language="cs") == {
        "s-a": f"unreadable text: {tmp_path}/a.txt, line 1 is not UTF-8, and its encoding is not sure; convert the "
        "file, for example with `iconv -f cp1250 -t UTF-8`, and look at the letters."
    }


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
    assert found["s-e"].startswith(f"link: {folder}/e.txt leads out of")
    assert "s-f" in found


def test_a_folder_without_recordings_and_a_name_too_long_are_one_sentence(tmp_path):
    assert "holds no clip; add recordings, or correct the path of 's'" in refusal("texts", tmp_path / "gone")
    write(tmp_path, {"a/" * 40 + "b" * 30 + ".wav": ""})
    assert "has an id of 110 characters; shorten it to at most 100" in refusal("texts", tmp_path)
