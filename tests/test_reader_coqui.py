"""Coqui's own layout, as the demo of XTTS's fine-tuning, AllTalk and xtts-finetune-webui write it (pandas, sep="|")."""

import pytest
from sources import clips, faults, refusal, write

TRAIN = (
    "audio_file|text|speaker_name\n"
    "wavs/talk_00000000.wav|Good evening.|coqui\n"
    'wavs/talk_00000001.wav|"He said ""yes""."|coqui\n'
    'wavs/talk_00000002.wav|"Yes," he said.|Bob\n'
)
EVAL = "audio_file|text|speaker_name\r\nwavs\\talk_00000003.wav|Well done.|coqui\r\n"
FILES = {
    "metadata_train.csv": TRAIN,
    "metadata_eval.csv": EVAL,
    "lang.txt": "en\n",
    "other.csv": "x,y\n1,2\n",
    **{f"wavs/talk_{i:08d}.wav": "" for i in range(4)},
}


def test_both_tables_are_read(tmp_path):
    write(tmp_path, FILES)
    assert clips("coqui", tmp_path) == [
        ("s-wavs-talk_00000003", "Well done.", "someone", "wavs/talk_00000003.wav"),
        ("s-wavs-talk_00000000", "Good evening.", "someone", "wavs/talk_00000000.wav"),
        ("s-wavs-talk_00000001", 'He said "yes".', "someone", "wavs/talk_00000001.wav"),
        ("s-wavs-talk_00000002", '"Yes," he said.', "Bob", "wavs/talk_00000002.wav"),
    ]
    assert faults("coqui", tmp_path) == {}


def test_missing_and_outside_recordings_are_faults_and_the_others_are_read(tmp_path):
    rows = "audio_file|text\nwavs/a.wav|One.\nwavs/gone.wav|Two.\n../b.wav|Three.\n/etc/passwd|Four.\n"
    rows += f"{tmp_path}/d/c.wav|Five.\n"
    write(tmp_path / "d", {"metadata_train.csv": rows, "wavs/a.flac": "", "c.wav": ""})
    (tmp_path / "b.wav").touch()
    folder = tmp_path / "d"
    assert [one[0] for one in clips("coqui", folder)] == ["s-wavs-a", "s-c"], "a.wav was converted to FLAC"
    found = faults("coqui", folder)
    assert found["s-wavs-gone"] == f"missing recording: {folder}/wavs/gone.wav"
    assert found["s-b"].startswith(f"outside the source: {folder}/../b.wav is not in")
    assert found["s-passwd"].startswith("outside the source: /etc/passwd is not in")


def test_a_list_of_all_clips_beside_the_lists_of_the_parts_is_read_once(tmp_path):
    """As scripts write it that split metadata.csv, with the client ids of Common Voice as speakers."""
    header, client = "audio_file|text|speaker_name\n", "2eeefcd1dcd93c9d" * 8
    rows = [f"wavs/common_voice_th_{i}.wav|Line {i}.|{client}\n" for i in range(3)]
    parts = {"metadata_train.csv": header + rows[0] + rows[1], "metadata_eval.csv": header + rows[2]}
    mp3s = {f"wavs/common_voice_th_{i}.mp3": "" for i in range(3)}
    write(tmp_path, {"metadata.csv": header + "".join(rows), **parts, **mp3s})
    assert clips("coqui", tmp_path) == [
        (f"s-wavs-common_voice_th_{i}", f"Line {i}.", "2eeefcd1dcd9", f"wavs/common_voice_th_{i}.mp3") for i in range(3)
    ]
    write(tmp_path, {"metadata_eval.csv": header + rows[2].replace("Line", "Row")})
    assert refusal("coqui", tmp_path) == (
        f"two lists in {tmp_path} have the clip 's-wavs-common_voice_th_2' with another text or speaker"
        " ('Line 2.' and 'Row 2.'); correct one of them."
    )


BAD = {
    "no table": ({}, "holds no table with the header audio_file|text|speaker_name"),
    "no header": ({"metadata_train.csv": "wavs/a.wav|One.|x\n"}, "holds no table with the header"),
    "a header alone": ({"metadata_train.csv": "audio_file|text\n"}, "metadata_train.csv holds no rows; write a header"),
    "two fields": (
        {"metadata_train.csv": TRAIN + "wavs/a.wav|One.\n"},
        "line 5 has 2 fields, and the header has 3; write it as audio_file|text|speaker_name, on one line",
    ),
    "a recording twice": (
        {"metadata_train.csv": TRAIN + "wavs/talk_00000000.flac|Again.|coqui\n"},
        "line 5 repeats the id 'wavs-talk_00000000' of line 2; rename or remove",
    ),
    "a speaker's name": (
        {"metadata_train.csv": "audio_file|text|speaker_name\na.wav|One.|Anna Kis\n"},
        "line 2 has the speaker 'Anna Kis'; use at most 60",
    ),
    "HTML": ({"metadata_train.csv": "<!DOCTYPE html>\n<html>"}, "holds no table with the header"),
    "a NUL": (
        {"metadata_train.csv": b"audio_file|text\na.wav|O\0ne.\n"},
        "metadata_train.csv has NUL bytes, so it is no text or damaged",
    ),
    "a name with an escape": (
        {"metadata_train.csv": "audio_file|text\n\x1b[2J.wav|One.\n"},
        "line 2 has the id '\\x1b[2J'; use a plain file name",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_one_sentence(tmp_path, name):
    files, wanted = BAD[name]
    assert wanted in refusal("coqui", write(tmp_path, files))
