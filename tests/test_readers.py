"""The seam for readers: a reader is one file and one line of the table. And the reader of Kaldi's data folders."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from conftest import example_of_docs
from test_prepare import ROOT, tone, write_params, write_with_av

import prepare
from voicetune.data import clip, readers
from voicetune.data.readers.kaldi import KaldiSource
from voicetune.data.utterance import Recording, Segment
from voicetune.errors import UserError
from voicetune.params import whole

RATE = 16000

# The seam

TOY = example_of_docs('"""Reads a folder of sound files')


@pytest.fixture
def with_toy(tmp_path) -> Path:
    """A project whose sources have one more reader: one new file, and the two places of its name in the table."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    place = tmp_path / "src/voicetune/data/readers"
    (place / "names.py").write_text(TOY)
    table = (place / "__init__.py").read_text()
    imports, line = "    ljspeech,\n", "        kaldi.KaldiSource: kaldi.read,\n"
    assert imports in table
    assert line in table
    table = table.replace(imports, imports + "    names,\n")
    (place / "__init__.py").write_text(table.replace(line, line + "        names.NamesSource: names.read,\n"))
    folder = tmp_path / "data/raw/anna"
    folder.mkdir(parents=True)
    for number in range(6):
        soundfile.write(folder / f"Line number {number}..wav", tone(1 + number / 10), 22050)
    (folder / "gone.wav").symlink_to("nowhere.wav")
    return tmp_path


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


TOY_SOURCE = {"name": "anna", "reader": "names", "path": "data/raw/anna", "speaker": "anna", "language": "en"}


def test_a_reader_is_one_file_and_its_line_in_the_table(with_toy):
    write_params(with_toy, [{**TOY_SOURCE, "ending": ".wav"}], jobs=2)
    done = python(with_toy, "src/prepare.py")
    assert done.returncode == 0, done.stderr
    clips = clip.read(with_toy / "data/clips/clips.csv")
    assert [(one.id, one.text) for one in clips] == [(f"anna-Line number {i}.", f"Line number {i}.") for i in range(6)]
    assert "gone.wav" in (with_toy / "data/clips/left_out.csv").read_text()

    write_params(with_toy, [TOY_SOURCE])
    done = python(with_toy, "src/prepare.py")
    assert "'prepare.sources.0.ending' is missing; add the line `ending: .wav` under `prepare.so" in done.stderr
    write_params(with_toy, [{**TOY_SOURCE, "reader": "text"}])
    done = python(with_toy, "src/prepare.py")
    assert "'prepare.sources.0.reader' is 'text', but should be one of ljspeech, espeak, kaldi, names, " in done.stderr


def test_a_reader_that_finds_nothing_or_an_id_twice(with_toy):
    write_params(with_toy, [{**TOY_SOURCE, "path": "data/raw/nobody", "ending": ".wav"}])
    done = python(with_toy, "src/prepare.py")
    assert done.stderr == "error: data/raw/nobody holds no clip; add recordings, or correct the path of 'anna'.\n"
    place = with_toy / "src/voicetune/data/readers/names.py"
    place.write_text(TOY.replace("source, sound.stem, sound", "source, sound.stem[0], sound"))
    write_params(with_toy, [{**TOY_SOURCE, "ending": ".wav"}])
    done = python(with_toy, "src/prepare.py")
    assert done.stderr == "error: the source 'anna' makes two clips 'anna-L'; rename one of the recordings.\n"


@pytest.mark.parametrize(
    ("removed", "wanted"),
    [
        ('reader: Literal["names"]', "src/voicetune/data/readers/names.py: NamesSource has no `reader: Literal[...]`"),
        ("def read(", "src/voicetune/data/readers/names.py has no `read`"),
        ("class NamesSource(", "src/voicetune/data/readers/names.py has no `NamesSource`"),
    ],
)
def test_a_reader_that_lacks_something_is_one_sentence(with_toy, removed, wanted):
    given = {"class NamesSource(": "class Other(", "def read(": "def other("}.get(removed, "")
    text = TOY.replace(removed, given).replace("source: NamesSource", "source")
    (with_toy / "src/voicetune/data/readers/names.py").write_text(text)
    write_params(with_toy, [{**TOY_SOURCE, "ending": ".wav"}])
    for command in (["-m", "voicetune", "check"], ["src/prepare.py"]):
        done = python(with_toy, *command)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {wanted}; write it as docs/extending.md shows, or take the reader out")
        assert done.stderr.count("\n") == 1


def test_dvc_sees_the_code_of_a_new_reader(with_toy):
    code = "from voicetune import closure; print(*closure.files('prepare'))"
    assert "src/voicetune/data/readers/names.py" in python(with_toy, "-c", code).stdout.split()


def test_the_parameters_import_no_library_of_sound():
    heavy = ["torch", "librosa", "soundfile", "soxr", "av", "espeakng_loader", "numpy"]
    code = f"import sys, voicetune.params.whole; print([name for name in {heavy} if name in sys.modules])"
    assert python(ROOT, "-c", code).stdout == "[]\n"


# Kaldi


def kaldi(folder: Path, **lists: str) -> KaldiSource:
    """A source with these lists; `wav_scp` is wav.scp."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in lists.items():
        (folder / name.replace("_", ".", 1) if name == "wav_scp" else folder / name).write_text(content)
    fields = {"name": "k", "reader": "kaldi", "speaker": "someone", "language": "en"}
    return KaldiSource(path=str(folder), **fields)


def test_a_folder_with_segments(tmp_path):
    """Lists as Kaldi's recipes write them, in an order of their own: tabs, several spaces, CRLF, more recordings."""
    folder = tmp_path / "train"
    (folder / "wav").mkdir(parents=True)
    soundfile.write(folder / "wav/talk 1.flac", tone(30, RATE), RATE)
    source = kaldi(
        folder,
        wav_scp="talk1 wav/talk 1.flac\nunused wav/unused.wav\n",
        text="anna-talk1-0002  so  it\tbegins \r\nanna-talk1-0001\tHello there.\r\nbob-talk1-0003 Overlapping.\n",
        segments="bob-talk1-0003 talk1 2.6 3.5\nanna-talk1-0001 talk1 0.00 1.5\nanna-talk1-0002\ttalk1 1.50 3.0\n",
        utt2spk="anna-talk1-0001 anna\nanna-talk1-0002 anna\nother nobody\n",
    )
    path = folder / "wav/talk 1.flac"
    assert [(u.id, u.text, u.origin, u.speaker, u.fault) for u in readers.read([source])] == [
        ("k-anna-talk1-0002", "so  it\tbegins", Segment(path, 1.5, 3.0), "anna", ""),
        ("k-anna-talk1-0001", "Hello there.", Segment(path, 0.0, 1.5), "anna", ""),
        ("k-bob-talk1-0003", "Overlapping.", Segment(path, 2.6, 3.5), "someone", ""),
    ]


def test_a_folder_without_segments(tmp_path):
    folder = tmp_path / "train"
    source = kaldi(folder, wav_scp="a sub/../a.wav\nb sub/b.mp3\n", text="b Two.\na One.\n")
    (folder / "sub").mkdir()
    (folder / "sub/b.mp3").touch()
    (folder / "a.wav").touch()
    assert [(u.id, u.text, u.origin, u.speaker, u.fault) for u in readers.read([source])] == [
        ("k-b", "Two.", Recording(folder / "sub/b.mp3"), "someone", ""),
        ("k-a", "One.", Recording(folder / "sub/../a.wav"), "someone", ""),
    ]


GOOD = {"wav_scp": "r r.wav\n", "text": "a One.\n", "segments": "a r 0 1\n", "utt2spk": "a anna\n"}
LISTS: dict[str, tuple[dict[str, str | None], str]] = {
    "no wav.scp": ({"wav_scp": None}, "wav.scp is missing; create it with lines `id path`, or correct the source's"),
    "no text": ({"text": None}, "text is missing; create it with lines `id text`, or correct the source's path"),
    "an empty wav.scp": ({"wav_scp": "\n"}, "wav.scp holds no lines; write them as `id path`"),
    "an empty text": ({"text": ""}, "text holds no lines; write them as `id text`"),
    "empty segments": ({"segments": ""}, "segments holds no lines; write them as `id recording start end`, with the"),
    "a command": ({"wav_scp": "r touch hit |\n"}, "wav.scp, line 1 has a command, which is never run; save what it"),
    "no path": ({"wav_scp": "r\n"}, "wav.scp, line 1 has no path; write it as `id path`"),
    "a recording twice": ({"wav_scp": "r r.wav\n\nr s.wav\n"}, "wav.scp, line 3 repeats the id 'r' of line 1; rename"),
    "a text twice": ({"text": "a One.\na Two.\n"}, "text, line 2 repeats the id 'a' of line 1; rename or remove"),
    "a segment twice": ({"segments": "a r 0 1\na r 1 2\n"}, "segments, line 2 repeats the id 'a' of line 1"),
    "a speaker twice": ({"utt2spk": "a anna\na anna\n"}, "utt2spk, line 2 repeats the id 'a' of line 1"),
    "three fields": ({"segments": "a r 0\n"}, "segments, line 1 has 3 fields; write it as `id recording start end`"),
    "a channel": ({"segments": "a r 0 1 A\n"}, "segments, line 1 has 5 fields; write it as `id recording start end`"),
    "a time in words": ({"segments": "a r 0 end\n"}, "segments, line 1 has the time 'end'; write it in seconds"),
    "a time of NaN": ({"segments": "a r nan 1\n"}, "segments, line 1 has the time 'nan'; write it in seconds, such"),
    "a time of minutes": ({"segments": "a r 0:00 0:01\n"}, "segments, line 1 has the time '0:00'; write it in seconds"),
    "a folder in the id": ({"text": "../a One.\n"}, "text, line 1 has the id '../a'; use a plain file name"),
    "a segment's id": ({"segments": "x/y r 0 1\n"}, "segments, line 1 has the id 'x/y'; use a plain file name"),
    "a long id": ({"text": "a" * 300 + " One.\n"}, "text, line 1 has an id of 300 characters; shorten it"),
    "a speaker's name": ({"utt2spk": "a Anna Kis\n"}, "utt2spk, line 1 has the speaker 'Anna Kis'; use at most 60"),
    "no speaker": ({"utt2spk": "a\n"}, "utt2spk, line 1 has the speaker ''; use at most 60 letters A to Z, digits"),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_bad_list_is_one_sentence(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    changes, wanted = LISTS[name]
    source = kaldi(tmp_path / "k", **{name: text for name, text in {**GOOD, **changes}.items() if text is not None})
    with pytest.raises(UserError) as error:
        readers.read([source])
    assert wanted in str(error.value)
    assert str(tmp_path / "k") in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "hit").exists()


@pytest.mark.parametrize("name", ["wav.scp", "text", "segments", "utt2spk"])
def test_a_list_of_somebody_else_is_not_read(tmp_path, name):
    source = kaldi(tmp_path / "k", **GOOD)
    (tmp_path / "secret").write_text("root swordfish\n")
    (tmp_path / "k" / name).unlink()
    (tmp_path / "k" / name).symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match=f"{name} is a link that leads out of .*; put the file itself there") as error:
        readers.read([source])
    assert "swordfish" not in str(error.value)


def test_bad_clips_are_left_out_and_the_good_ones_are_made(tmp_path, monkeypatch):
    """The whole stage, with every fault that a single line can have."""
    monkeypatch.chdir(tmp_path)
    folder = Path("data/raw/talk")
    folder.mkdir(parents=True)
    long = np.concatenate([tone(1.5, RATE, 300 + 50 * i) for i in range(8)])
    soundfile.write(folder / "r.wav", long, RATE)
    write_with_av(folder / "s.m4a", tone(4, 48000), 48000, "aac")
    soundfile.write(tmp_path / "outside.wav", long, RATE)
    segments = {
        "one": "r 0 1.5", "two": "r 1.5 3", "three": "r 5 8", "four": "s 0.5 2.5", "last": "r 10.5 12.02",
        "backwards": "r 3 2", "nothing": "r 3 3", "negative": "r -1 2", "late": "r 11.6 13", "later": "r 500 501",
        "short": "r 1 1.2", "textless": "r 3 5", "homeless": "nowhere 0 1", "gone": "g 0 1", "out": "o 0 1",
        "absolute": "p 0 1", "overlapping": "r 5.5 7.5",
    }  # fmt: skip
    texts = {id: f"This is {id}." for id in [*segments, "silent"] if id != "textless"}
    kaldi(
        folder,
        wav_scp=f"r r.wav\ns s.m4a\ng gone.wav\no ../../../outside.wav\np {tmp_path / 'outside.wav'}\n",
        text="".join(f"{id} {text}\n" for id, text in texts.items()),
        segments="".join(f"{id} {rest}\n" for id, rest in segments.items()),
        utt2spk="one anna\ntwo anna\n",
    )
    source = {"name": "k", "reader": "kaldi", "path": str(folder), "speaker": "someone", "language": "en"}
    write_params(tmp_path, [source])
    assert whole.load().prepare.sources[0].model_dump(exclude_none=True) == source
    prepare.main()
    clips = {one.id: one for one in clip.read(Path("data/clips/clips.csv"))}
    assert {id: one.seconds for id, one in clips.items()} == {
        "k-one": 1.5, "k-two": 1.5, "k-three": 3.0, "k-four": 2.0, "k-last": 1.5,
    }  # fmt: skip
    assert {id: one.speaker for id, one in clips.items()} == {
        "k-one": "anna", "k-two": "anna", "k-three": "someone", "k-four": "someone", "k-last": "someone",
    }  # fmt: skip
    with Path("data/clips/left_out.csv").open(encoding="utf-8", newline="") as file:
        reasons = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    r, lists = folder / "r.wav", "data/raw/talk"
    outside = f"is not in {folder}; put it there, and name it by its path from there"
    assert reasons == {
        "k-backwards": f"bad segment: the segment of {r} from 3 to 2 s ends before it begins; correct its times.",
        "k-nothing": f"bad segment: the segment of {r} from 3 to 3 s has no length; correct its times.",
        "k-negative": f"bad segment: the segment of {r} from -1 to 2 s begins before the recording; correct its times.",
        "k-late": f"bad segment: the segment of {r} from 11.6 to 13 s passes the end of the recording at 12.00 s; "
        "correct its times.",
        "k-later": f"bad segment: the segment of {r} from 500 to 501 s passes the end of the recording at 12.00 s; "
        "correct its times.",
        "k-short": "too short: 0.20 s, at least 0.5 s",
        "k-textless": "empty text",
        "k-overlapping": "overlapping: more than 0.5 s of it are in 'k-three' too; correct their times",
        "k-silent": f"missing recording: {lists}/segments has no line for 'silent'",
        "k-homeless": f"missing recording: {lists}/segments, line 13 names 'nowhere', which wav.scp does not list",
        "k-gone": f"missing recording: {lists}/gone.wav",
        "k-out": f"outside the source: {folder}/../../../outside.wav {outside}",
        "k-absolute": f"outside the source: {tmp_path}/outside.wav {outside}",
    }


def test_a_missing_reader_is_told_by_the_other_keys(tmp_path):
    data = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    data["prepare"]["sources"] = [{"name": "a", "path": "data/raw/a", "speaker": "a", "language": "en"}]
    for keys, reader in (({}, "ljspeech"), ({"voice": "hu", "rate": 150}, "espeak")):
        data["prepare"]["sources"][0] |= keys
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(data))
        with pytest.raises(UserError, match=f"add the line `reader: {reader}` under `prepare.sources.0:`"):
            whole.load(tmp_path / "params.yaml")
