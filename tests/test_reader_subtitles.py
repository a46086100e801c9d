"""Subtitles beside long recordings: SubRip and WebVTT, and every fault that a single cue can have."""

import pytest
from sources import clips, faults, read, refusal, write

from voicetune.data.utterance import Segment

SRT = """\ufeff1\r
00:00:01,000 --> 00:00:02,500\r
<i>Good evening,</i>\r
ladies &amp; gentlemen.\r
\r
2\r
00:00:02,500 --> 00:00:04,000 X1:100 X2:200 Y1:1 Y2:2\r
{\\an8}- <font color="#fff">Welcome.</font>\r
\r
"""
VTT = """WEBVTT - talk

STYLE
::cue { color: white }

NOTE a comment

intro
00:01.000 --> 00:02.000 align:start position:0%
<v Anna Kis>Good <00:01.500><c.loud>evening</c>.</v>

01:00:00.000 --> 01:00:01.500
>> An hour later.
"""


def test_subrip(tmp_path):
    write(tmp_path, {"film.srt": SRT, "film.mkv": ""})
    film = tmp_path / "film.mkv"
    assert [(u.id, u.text, u.origin, u.fault) for u in read("subtitles", tmp_path)] == [
        ("s-film-0001", "Good evening, ladies & gentlemen.", Segment(film, 1.0, 2.5), ""),
        ("s-film-0002", "Welcome.", Segment(film, 2.5, 4.0), ""),
    ]


def test_webvtt_in_a_folder(tmp_path):
    write(tmp_path, {"day 1/talk.en.vtt": VTT, "day 1/talk.hu.vtt": VTT, "day 1/talk.mp4": "", "day 1/talk.flac": ""})
    talk = tmp_path / "day 1/talk.flac"
    assert [(u.id, u.text, u.origin, u.speaker) for u in read("subtitles", tmp_path)] == [
        ("s-day 1-talk-0001", "Good evening.", Segment(talk, 1.0, 2.0), "someone"),
        ("s-day 1-talk-0002", "An hour later.", Segment(talk, 3600.0, 3601.5), "someone"),
    ]


def srt(*cues: tuple[str, str]) -> str:
    return "".join(f"{i}\n{times}\n{text}\n\n" for i, (times, text) in enumerate(cues, start=1))


def times(start: float, end: float) -> str:
    def clock(seconds: float) -> str:
        return f"00:{int(seconds // 60):02d}:{seconds % 60:06.3f}".replace(".", ",")

    return f"{clock(start)} --> {clock(end)}"


def test_a_fault_in_a_cue_is_a_fault_of_that_clip(tmp_path):
    cues = [
        (times(0, 1), "One."),
        (times(1, 2), "Two."),
        (times(50, 51), "Misplaced."),
        (times(2.96, 3.9), "Three."),
        (times(5, 4.5), "Backwards."),
        (times(6, 8), "Overlapping."),
        (times(7, 9), "Also."),
        (times(8.98, 10), "Four."),
        ("00:00:aa,000 --> 00:00:12,000", "Unreadable."),
        (times(12, 13), "- Hi.\n- Ho."),
        (times(13, 14), "[music]"),
        (times(14, 15), "♪ la la ♪"),
        (times(15, 16), "Five."),
    ]
    write(tmp_path, {"a.srt": srt(*cues), "a.wav": ""})
    assert [one[1] for one in clips("subtitles", tmp_path)] == ["One.", "Two.", "Three.", "Four.", "Five."]
    at = f"{tmp_path}/a.srt, line"
    assert faults("subtitles", tmp_path) == {
        "s-a-0003": f"bad cue: {at} 10 is out of order; correct its times",
        "s-a-0005": f"bad cue: {at} 18 ends before it begins; correct its times",
        "s-a-0006": f"bad cue: {at} 22 ends after the next one begins; correct their times",
        "s-a-0007": f"bad cue: {at} 22 ends after the next one begins; correct their times",
        "s-a-0009": f"bad cue: {at} 34 has times that cannot be read; write such as 00:00:01,000 --> 00:00:02,500",
        "s-a-0010": f"two speakers: {at} 38 has a dash before several lines; make a cue for each",
        "s-a-0011": f"not speech alone: {at} 43 has '[music]'; remove the cue",
        "s-a-0012": f"not speech alone: {at} 47 has '♪'; remove the cue",
    }


def test_one_wrong_end_costs_two_cues_and_not_all(tmp_path):
    cues = [(times(i, i + 1), f"Line {i}.") for i in range(8)]
    cues[2] = (times(2, 1000), "Line 2.")
    write(tmp_path, {"a.srt": srt(*cues), "a.wav": ""})
    assert sorted(faults("subtitles", tmp_path)) == ["s-a-0003", "s-a-0004"]


def test_cues_without_a_blank_line_between_them(tmp_path):
    write(tmp_path, {"a.srt": f"1\n{times(0, 1)}\nOne.\n2\n{times(1, 2)}\nTwo.\n3\n{times(2, 3)}\n", "a.wav": ""})
    assert [one.text for one in read("subtitles", tmp_path)] == ["One.", "Two.", ""]


def test_missing_recordings_and_missing_subtitles_are_faults(tmp_path):
    write(tmp_path, {"a.srt": srt((times(0, 1), "One.")), "b.mp3": ""})
    assert faults("subtitles", tmp_path) == {
        "s-a-0001": f"missing recording: {tmp_path}/a.mkv",
        "s-b": f"missing subtitles: {tmp_path}/b.srt",
    }


BAD = {
    "no cues": ({"a.srt": "One.\n", "a.wav": ""}, "a.srt holds no cues (lines such as 00:00:01,000 --> 00:00:02,500)"),
    "an empty file": ({"a.vtt": "", "a.wav": ""}, "a.vtt holds no cues"),
    "HTML": ({"a.srt": "<html><!-- x\n-->", "a.wav": ""}, None),
    "two of a recording": ({"a.srt": SRT, "a.vtt": VTT, "a.wav": ""}, "a.vtt belong to the same recording; remove one"),
    "a NUL": ({"a.srt": SRT + "\0", "a.wav": ""}, "a.srt has NUL bytes"),
    "no files": ({}, "holds no clip; add recordings"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_subtitles_are_one_sentence(tmp_path, name):
    files, wanted = BAD[name]
    write(tmp_path, files)
    if wanted:
        assert wanted in refusal("subtitles", tmp_path)
    else:
        assert all("times that cannot be read" in fault for fault in faults("subtitles", tmp_path).values())
