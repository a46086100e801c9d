"""Lists of GPT-SoVITS, whose paths are those of the machine that wrote them."""

import pytest
from sources import clips, faults, refusal, write

LIST = (
    "output/slicer_opt/vocal_a.wav_0000000000_0000135680.wav|anna|EN|Good evening.\n"
    "D:\\GPT-SoVITS\\output\\slicer_opt\\b.wav|anna|en|Well done.\n"
    "wavs/c.wav||en|Third.\n"
    "output/slicer_opt/d.wav|slicer_opt|EN|Fourth.\n"
)
NAMES = ("vocal_a.wav_0000000000_0000135680.wav", "b.wav", "wavs/c.wav", "d.wav")


def test_recordings_are_found_by_path_or_by_name(tmp_path):
    write(tmp_path, {"anna.list": LIST, **dict.fromkeys(NAMES, "")})
    assert clips("gpt_sovits", tmp_path) == [
        ("s-vocal_a.wav_0000000000_0000135680", "Good evening.", "anna", NAMES[0]),
        ("s-b", "Well done.", "anna", NAMES[1]),
        ("s-wavs-c", "Third.", "someone", NAMES[2]),
        ("s-d", "Fourth.", "someone", NAMES[3]),
    ]


def test_other_languages_and_missing_recordings_are_faults(tmp_path):
    write(
        tmp_path, {"a.list": "a.wav|x|JP|はい。\n/else/b.wav|x|en|Two.\nc.wav|x|en|Three.\n", "a.wav": "", "c.wav": ""}
    )
    assert [one[0] for one in clips("gpt_sovits", tmp_path)] == ["s-c"]
    found = faults("gpt_sovits", tmp_path)
    assert found["s-a"].startswith("another language: the list says 'JP', the source en")
    assert found["s-b"].startswith("outside the source: /else/b.wav is not in")
    assert "s-a" not in faults("gpt_sovits", tmp_path, language="ja")


BAD = {
    "no list": ({}, "holds no .list file; write one with lines path|speaker|language|text"),
    "three fields": (
        {"a.list": "a.wav|x|One.\n"},
        "a.list, line 1 has 3 fields; write it as path|speaker|language|text",
    ),
    "an empty list": ({"a.list": "\n"}, "holds no clip; add recordings"),
    "a recording twice": ({"a.list": "a.wav|x|en|1\na.wav|x|en|2\n"}, "a.list, line 2 repeats the id 'a' of line 1"),
    "a speaker's name": ({"a.list": "a.wav|Anna Kis|en|One.\n"}, "line 1 has the speaker 'Anna Kis'"),
    "no name": ({"a.list": "|x|en|One.\n"}, "line 1 has no id; write the name of its recording there"),
    "HTML": ({"a.list": "<html>\n"}, "a.list, line 1 has 1 fields; write it as"),
    "a NUL": ({"a.list": "a.wav|x|en|O\0ne\n"}, "a.list has NUL bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_list_is_one_sentence(tmp_path, name):
    files, wanted = BAD[name]
    assert wanted in refusal("gpt_sovits", write(tmp_path, files))
