"""VCTK 0.92 (two microphones, FLAC; p315 has no texts, s5 is a speaker) and 0.80 (WAV)."""

from sources import clips, faults, refusal, write

PLACE = "wav48_silence_trimmed"
FILES = {
    "speaker-info.txt": "ID AGE GENDER ACCENTS REGION\np225 23 F English\n",
    "txt/p225/p225_001.txt": "Please call Stella.\n",
    "txt/p225/p225_002.txt": "Ask her to bring these things with her.",
    "txt/s5/s5_001.txt": "Please call Stella.\n",
    f"{PLACE}/p225/p225_001_mic1.flac": "",
    f"{PLACE}/p225/p225_001_mic2.flac": "",
    f"{PLACE}/p225/p225_002_mic2.flac": "",
    f"{PLACE}/s5/s5_001_mic1.flac": "",
    f"{PLACE}/log.txt": "",
}


def test_the_first_microphone_is_taken(tmp_path):
    write(tmp_path, FILES)
    assert clips("vctk", tmp_path) == [
        ("s-p225_001", "Please call Stella.", "p225", f"{PLACE}/p225/p225_001_mic1.flac"),
        ("s-p225_002", "Ask her to bring these things with her.", "p225", f"{PLACE}/p225/p225_002_mic2.flac"),
        ("s-s5_001", "Please call Stella.", "s5", f"{PLACE}/s5/s5_001_mic1.flac"),
    ]
    assert [one[0] for one in clips("vctk", tmp_path, only_speakers=["s5"])] == ["s-s5_001"]


def test_the_older_layout(tmp_path):
    write(tmp_path, {"txt/p225/p225_001.txt": "Please.", "txt/p225/p225_002.txt": "", "wav48/p225/p225_001.wav": ""})
    assert faults("vctk", tmp_path) == {"s-p225_002": f"missing recording: {tmp_path}/wav48/p225/p225_002.wav"}
    assert clips("vctk", tmp_path) == [("s-p225_001", "Please.", "p225", "wav48/p225/p225_001.wav")]


def test_missing_texts_and_recordings_and_bad_texts_are_faults(tmp_path):
    more = {f"{PLACE}/p315/p315_001_mic1.flac": "", "txt/p226/p226_001.txt": "Gone.",
            f"{PLACE}/p227/p227_001_mic1.flac": "", "txt/p227/p227_001.txt": b"a\0b"}  # fmt: skip
    write(tmp_path, {**FILES, **more})
    assert len(clips("vctk", tmp_path)) == 3
    found = faults("vctk", tmp_path)
    assert found["s-p315_001"] == f"missing text: {tmp_path}/txt/p315/p315_001.txt"
    assert found["s-p226_001"] == f"missing recording: {tmp_path}/{PLACE}/p226/p226_001_mic1.flac"
    assert found["s-p227_001"].startswith(f"unreadable text: {tmp_path}/txt/p227/p227_001.txt has NUL bytes")


def test_a_speaker_of_another_name_and_an_empty_folder_are_one_sentence(tmp_path):
    assert "holds no clip; add recordings, or correct the path" in refusal("vctk", tmp_path)
    write(tmp_path, {"txt/Anna Kis/a.txt": "One."})
    assert "txt/Anna Kis has the speaker 'Anna Kis'; use at most 60" in refusal("vctk", tmp_path)
