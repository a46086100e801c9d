"""Bad recordings and extra files in a source of each reader: one reason each, and the good clips are kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from conftest import ROOT
from sources import read
from test_bad_input import cut, noise, speech, wav
from test_long import write_video_without_sound

import prepare
from voicetune.data import clip

GOOD = ("x", "y", "z")
FOLDER = Path("data/raw/s")
# Of each reader: where the sound of a clip lies, the list and its lines, or the text of a clip. {} is the clip's name.
LISTS = {
    "ljspeech": ("wavs/{}.wav", "metadata.csv", "", "{}|Clip {}.\n"),
    "coqui": ("wavs/{}.wav", "metadata_train.csv", "audio_file|text\n", "wavs/{}.wav|Clip {}.\n"),
    "common_voice": ("clips/{}.wav", "validated.tsv", "client_id\tpath\tsentence\n", "c\t{}.wav\tClip {}.\n"),
    "audiofolder": ("{}.wav", "metadata.csv", "file_name,text\n", "{}.wav,Clip {}.\n"),
    "jsonl": ("{}.wav", "list.jsonl", "", '{{"audio": "{}.wav", "text": "Clip {}."}}\n'),
    "gpt_sovits": ("{}.wav", "s.list", "", "{}.wav|anna|en|Clip {}.\n"),
    "festvox": ("wav/{}.wav", "etc/txt.done.data", "", '( {} "Clip {}." )\n'),
    "kaldi": ("{}.wav", "wav.scp", "", "{0} {0}.wav\n"),
    "texts": ("{}.wav", "{}.txt", "", "Clip {}.\n"),
    "vctk": ("wav48/p1/{}.wav", "txt/p1/{}.txt", "", "Clip {}.\n"),
    "subtitles": ("{}.wav", "{}.srt", "", "1\n00:00:00,000 --> 00:00:02,000\nClip {}.\n"),
}


def hours_of_silence(path: Path) -> None:
    """Ten hours of zeros, which take no space on the disk."""
    wav(path, np.zeros(0), 8000)
    data = bytearray(path.read_bytes())
    size = 10 * 3600 * 8000 * 2
    data[4:8], data[40:44] = (36 + size).to_bytes(4, "little"), size.to_bytes(4, "little")
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(len(data) + size)


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": (".wav", lambda _: None, "missing recording: "),
    "silence": (".wav", lambda path: wav(path, np.zeros(44100)), "silent"),
    "noise": (".wav", noise, "noise and no speech"),
    "ten hours": (".wav", hours_of_silence, "too long: "),
    "a video without sound": (".mp4", write_video_without_sound, "no sound: "),
    "a text": (".wav", lambda path: path.write_text("no sound"), "undecodable: "),
    "a cut-off file": (".wav", lambda path: (wav(path, speech()), cut(path)), "cut off: "),
    "a folder": (".wav", lambda path: path.mkdir(), "no plain file: "),
}  # fmt: skip


def write(reader: str, names: tuple[str, ...]) -> None:
    """Write the lists of a source of three good clips, and of others whose sounds are not written."""
    sound, file, header, line = LISTS[reader]
    for name in names:
        path = FOLDER / file.format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as opened:
            opened.write((header if opened.tell() == 0 else "") + line.format(name, name))
        if name in GOOD:
            path = FOLDER / sound.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            wav(path, speech())
    if reader == "kaldi":
        (FOLDER / "text").write_text("".join(f"{name} Clip {name}.\n" for name in names))
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    source = {"name": "s", "reader": reader, "path": str(FOLDER), "speaker": "anna", "language": "en"}
    settings["prepare"] |= {"sources": [source], "validation": 0.2, "test": 0.2}
    Path("params.yaml").write_text(yaml.safe_dump(settings | {"jobs": 1}))


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("reader", LISTS)
def test_a_bad_recording_costs_one_clip(tmp_path, monkeypatch, capsys, reader, fault):
    monkeypatch.chdir(tmp_path)
    ending, make, wanted = BAD[fault]
    write(reader, (*GOOD, "bad"))
    make((FOLDER / LISTS[reader][0].format("bad")).with_suffix(ending))
    prepare.main()
    kept = [one.text for one in clip.read(Path("data/clips/clips.csv"))]
    assert kept == ["Clip x.", "Clip y.", "Clip z."]
    (left,) = Path("data/clips/left_out.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert "bad" in left
    reason = left.split(",", 2)[2].strip('"')
    if (reader, fault) == ("subtitles", "ten hours"):
        assert reason == "silent", "a cue of a long recording is a segment of it"
    elif (reader, fault) == ("subtitles", "a folder"):
        assert reason.startswith("missing recording: "), "subtitles do not name their recording"
    else:
        assert reason.startswith(wanted)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("reader", LISTS)
def test_sounds_without_a_text_are_named(tmp_path, monkeypatch, capsys, reader):
    monkeypatch.chdir(tmp_path)
    write(reader, GOOD)
    extra = FOLDER / LISTS[reader][0].format("extra")
    wav(extra, speech())
    found = read(reader, FOLDER)
    told = capsys.readouterr().out
    faulty = [one for one in found if one.fault]
    assert [one.text for one in found if not one.fault] == ["Clip x.", "Clip y.", "Clip z."]
    if reader in ("texts", "vctk", "subtitles"):
        assert [one.fault.split(":")[0] for one in faulty] in (["missing text"], ["missing subtitles"])
    else:
        assert f"sounds in data/raw/s that no text names are not used: 1, such as {extra}" in told
        assert not faulty


def test_a_recording_in_two_formats_is_not_extra(tmp_path, capsys):
    (tmp_path / "wavs").mkdir()
    (tmp_path / "metadata.csv").write_text("a|One.\n")
    for ending in ("wav", "flac"):
        soundfile.write(tmp_path / f"wavs/a.{ending}", speech(), 22050)
    read("ljspeech", tmp_path)
    assert "not used" not in capsys.readouterr().out


def test_one_wrong_time_of_a_segment_costs_one_clip(tmp_path):
    """Segments that share more than half a second would have the same speech in two clips."""
    times = {"a": (0, 2), "b": (2, 4), "wrong": (1, 900), "c": (3.8, 6), "d": (6, 8), "twice": (6.2, 7.9), "e": (8, 9)}
    lines = [
        f'{{"audio": "t.wav", "text": "{id}", "offset": {a}, "duration": {b - a}}}' for id, (a, b) in times.items()
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    wav(tmp_path / "t.wav", speech())
    found = read("jsonl", tmp_path)
    assert [one.text for one in found if not one.fault] == ["a", "b", "c", "d", "e"]
    assert {one.text: one.fault for one in found if one.fault} == {
        "wrong": "overlapping: more than 0.5 s of it are in 's-t-00000000' too; correct their times",
        "twice": "overlapping: more than 0.5 s of it are in 's-t-00006000' too; correct their times",
    }
