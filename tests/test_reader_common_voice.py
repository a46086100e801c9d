"""Common Voice, in the columns of releases 1 (path without extension), 6 and 17."""

import pytest
from sources import clips, faults, read, refusal, write

HEADER = (
    "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage\tgender\taccents\t"
    "variant\tlocale\tsegment\n"
)
ANNA, BOB = "05e9d52b02fc87f0" * 8, "f7eefc021cfe23a6" * 8


def row(client: str, path: str, sentence: str, locale: str = "en") -> str:
    return f"{client}\t{path}\t{'ab' * 32}\t{sentence}\t\t2\t0\ttwenties\tfemale_feminine\t\t\t{locale}\t\n"


VALIDATED = (
    HEADER + row(ANNA, "common_voice_en_1.mp3", '"Two, three," he said.') + row(BOB, "common_voice_en_2.mp3", "Five.")
)
CLIPS = {f"clips/common_voice_en_{i}.mp3": "" for i in (1, 2, 3)}


def test_validated_is_read_and_the_speaker_is_short(tmp_path):
    write(tmp_path, {"validated.tsv": VALIDATED, "train.tsv": VALIDATED, "other.tsv": VALIDATED, **CLIPS})
    assert clips("common_voice", tmp_path) == [
        ("s-common_voice_en_1", '"Two, three," he said.', "05e9d52b02fc", "clips/common_voice_en_1.mp3"),
        ("s-common_voice_en_2", "Five.", "f7eefc021cfe", "clips/common_voice_en_2.mp3"),
    ]
    assert [one[1] for one in clips("common_voice", tmp_path, only_speakers=["f7eefc021cfe"])] == ["Five."]
    assert "has no speaker 'anna'; correct only_speakers in params.yaml to some of its speakers (clips): 05e9d52b" in (
        unknown_speaker(tmp_path)
    )


def unknown_speaker(folder) -> str:
    from voicetune.errors import UserError

    with pytest.raises(UserError) as error:
        read("common_voice", folder, only_speakers=["anna"])
    return str(error.value)


def test_without_validated_the_three_parts_are_read(tmp_path):
    header = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent\n"
    parts = {name: f"{header}{ANNA}\tcommon_voice_en_{i}\tLine.\t2\t0\t\t\t\n" for i, name in
             enumerate(("train.tsv", "dev.tsv", "test.tsv"), start=1)}  # fmt: skip
    write(tmp_path, {**parts, **CLIPS})
    assert [one[3] for one in clips("common_voice", tmp_path)] == list(CLIPS)


def test_another_language_and_a_missing_clip_are_faults(tmp_path):
    rows = (
        row(ANNA, "common_voice_en_1.mp3", "One.") + row(ANNA, "de.mp3", "Zwei.", "de") + row(ANNA, "x.mp3", "Three.")
    )
    write(tmp_path, {"validated.tsv": HEADER + rows, **CLIPS})
    assert [one[1] for one in clips("common_voice", tmp_path)] == ["One."]
    assert faults("common_voice", tmp_path) == {
        "s-de": "another language: the list says 'de', the source en; make a source for each",
        "s-x": f"missing recording: {tmp_path}/clips/x.mp3",
    }
    assert not faults("common_voice", write(tmp_path / "zh", {
        "validated.tsv": HEADER + row(ANNA, "common_voice_en_1.mp3", "一。", "zh-CN"), **CLIPS,
    }), language="zh")  # fmt: skip


BAD = {
    "no table": ({}, "holds no validated.tsv, and no train.tsv or dev.tsv or test.tsv"),
    "a delta release": (
        {"other.tsv": VALIDATED, "invalidated.tsv": HEADER, **CLIPS},
        "has other.tsv and no validated.tsv: nobody has checked its clips; rename it to validated.tsv to read them",
    ),
    "another header": ({"validated.tsv": "a\tb\n1\t2\n"}, "validated.tsv, line 1 is 'a\\tb', but should be a header"),
    "a header alone": ({"validated.tsv": HEADER}, "validated.tsv holds no rows; write a header such as client_id"),
    "an empty table": ({"validated.tsv": ""}, "validated.tsv holds no rows; write a header such as client_id<tab>path"),
    "a short row": ({"validated.tsv": VALIDATED + "x\ty.mp3\tz\n"}, "line 4 has 3 fields, and the header has 13"),
    "a path out": ({"validated.tsv": HEADER + row(ANNA, "../a.mp3", "One.")}, "line 2 has the id '../a'; use a plain"),
    "a clip twice": (
        {"validated.tsv": VALIDATED + row(BOB, "common_voice_en_1.mp3", "Again.")},
        "line 4 repeats the id 'common_voice_en_1' of line 2",
    ),
    "HTML": ({"validated.tsv": "<html>\n<body>\n"}, "validated.tsv, line 1 is '<html>', but should be a header"),
    "a NUL": ({"validated.tsv": VALIDATED + "\0"}, "validated.tsv has NUL bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_one_sentence(tmp_path, name):
    files, wanted = BAD[name]
    assert wanted in refusal("common_voice", write(tmp_path, files))
    if name == "a delta release":
        assert wanted in refusal("auto", tmp_path)
