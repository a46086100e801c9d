"""Bad input gives the right error sentence: params.yaml, sources, recordings, results and the arguments of `say`.

Every sentence is one line without control characters, and files outside the project do not change.
`test_bad_models.py` tests model folders in the same way.
"""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from conftest import with_scripts

import prepare
import report
from voicetune import __main__ as command
from voicetune import entry, files, outputs, readiness, run_notes, space
from voicetune.commands import reference as given_as_reference
from voicetune.commands import runs
from voicetune.data import clip, formats, readers
from voicetune.data.readers.ljspeech import LJSpeechSource
from voicetune.errors import UserError, shown
from voicetune.measures import results, table
from voicetune.params import reading, whole
from voicetune.report import page
from voicetune.shapes import read_json

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = with_scripts((ROOT / "params.yaml").read_text(encoding="utf-8"))
RATE = 22050


@pytest.fixture(autouse=True)
def outside(tmp_path, monkeypatch):
    """Work in a project folder. Beside it is a folder of somebody else's files, which no input may change."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "keep.txt").write_text("mine")
    soundfile.write(victim / "keep.wav", speech(), RATE)
    before = hashes(victim)
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    yield victim
    assert hashes(victim) == before


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def speech(seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    """A tone that rises and falls, which the checks take for speech: (samples,) float32."""
    times = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 220 * times) * np.sin(2 * np.pi * 3 * times)).astype(np.float32)


def sentence_of(capsys, run: Callable[[], object]) -> str:
    """Run a stage or command that must fail, and return the one sentence that it prints."""
    with pytest.raises(SystemExit) as ended:
        entry.run(run)
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1, told
    assert "Traceback" not in told
    assert shown(told[:-1]) == told[:-1]
    return told.removeprefix("error: ")[:-1]


# params.yaml


def with_(old: str, new: str) -> bytes:
    assert old in DEFAULT, old
    return DEFAULT.replace(old, new, 1).encode()


def script(path: str) -> bytes:
    return with_("data/scripts/questions.txt", path)


BOMB = "x0: &x0 [1, 1]\n" + "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 12))
PARAMS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "params.yaml holds no keys; restore it"),
    "a list": (b"- 1\n", "params.yaml holds no keys; restore it"),
    "no YAML": (with_("seed: 1", "seed: ["), "is not valid YAML; correct it there"),
    "a tab": (with_("  validation:", "\tvalidation:"), "is not valid YAML; correct it there"),
    "a Python object": (with_("seed: 1", "seed: !!python/object/apply:os.system [true]"), "is not valid YAML"),
    "a key twice": (with_("\nlr: ", "\nlr: 1e-3\nlr: "), "has the key 'lr' twice; remove one of them"),
    "a nested key twice": (with_("  test: 0.1", "  test: 0.2\n  test: 0.1"), "has the key 'test' twice"),
    "alias bomb": (BOMB.encode(), "params.yaml unfolds into more than 100,000 values; write out its anchors"),
    "alias of itself": (b"a: &a [*a]\n", "params.yaml unfolds into more than 100,000 values"),
    "deep nesting": (b"a: " + b"[" * 5000, "params.yaml is nested too deeply"),
    "deep mappings": (b"a: " + b"{a: " * 5000, "params.yaml is nested too deeply"),
    "a 5,000-digit seed": (with_("seed: 1", "seed: " + "9" * 5000), "a number of more digits than can be read"),
    "a large seed": (with_("seed: 1", "seed: 99999999999999999999"), "'seed' is 99999999999999999999, but should be"),
    "a negative seed": (with_("seed: 1", "seed: -1"), "'seed' is -1, but should be"),
    "a seed of 1e999": (with_("seed: 1", "seed: 1e999"), "'seed' is inf, but should be"),
    "a rate of NaN": (with_("\nlr: 2.0e-4", "\nlr: .nan"), "'lr' is nan, but should be"),
    "UTF-16": (DEFAULT.encode("utf-16"), "looks like UTF-16; save the file again in the encoding UTF-8"),
    "Latin-1": (b"a: \xe1\n", "params.yaml, line 1 is not UTF-8; save the file again"),
    "a control character": (b"a: \x07\n", "params.yaml is not valid YAML"),
    "a tag of another kind": (with_("seed: 1", "seed: !!bool maybe"), "has a value that its tag (!!...) does not fit"),
    "a tag without a value": (with_("seed: 1", "seed: !!float ''"), "its tag (!!...) does not fit; remove the tag"),
    "a tag of a date": (with_("seed: 1", "seed: !!timestamp x"), "its tag (!!...) does not fit; remove the tag"),
    "a tag of a number": (with_("seed: 1", "seed: !!int x"), "its tag (!!...) does not fit; remove the tag"),
    "an escape in a value": (with_("publish: phase2", 'publish: "\\e[2J"'), "'publish' is '\\x1b[2J', but should be"),
    "a space in a name": (with_("speaker: quizmaster", "speaker: Anna Kis"), "'Anna Kis', but should have nothing but"),
    "a long name": (with_("speaker: quizmaster", "speaker: " + "a" * 300), "should be: String should have at most 60"),
    "half a character": (with_("asr: tiny.en", 'asr: "\\ud800"'), "line 33 has half a character (U+D800 to U+DFFF)"),
    "true for a number": (with_("seed: 1", "seed: true"), "'seed' is True, but should be: a number, and neither true"),
    "yes for a number": (with_("epochs: 4", "epochs: yes"), "'train_phase2.epochs' is True, but should be: a number"),
    "no for a rate": (with_("  lr: 5.0e-4", "  lr: no"), "'train_phase1.lr' is False, but should be: a number"),
    "true for none or a number": (with_("  max_steps: ", "  max_steps: true "), "'train_phase1.max_steps' is True"),
    "true for one of two": (with_("  stop_targets: 1", "  stop_targets: true"), "'train_phase1.stop_targets' is True"),
    "true among seconds": (with_("  - 1.5", "  - true"), "'train_phase1.reference_seconds' is [True, 3.0], but"),
    "a billion resamples": (with_("bootstrap: 2000", "bootstrap: 1000000000"), "less than or equal to 20000"),
    "a voice of 31 letters": (with_("voice: en-us+m1", "voice: en+" + "m" * 28), "a name of at most 30 ASCII"),
    "a voice of no ASCII": (with_("voice: en-us+m1", "voice: magyarú"), "a name of at most 30 ASCII characters"),
    "a source of no name": (with_("  - name: questions", '  - name: ""'), "should have nothing but letters A to Z"),
    "two sources of a name": (with_("  - name: host", "  - name: questions"), "two sources have the same name"),
    "sources empty": (with_("lr: 2", "lr: 2") + b"\nprepare: 1\n", "has the key 'prepare' twice"),
    "a script with a NUL": (script('"data/scripts/a\\0b"'), "is no name that a file can have; create"),
    "a script of 300 letters": (script("data/scripts/" + "a" * 300), "cannot be read (File name too long)"),
    "a script that is a device": (script("/dev/zero"), "whose changes DVC would not see"),
    "a script that is a folder": (script("/"), "whose changes DVC would not see"),
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMS)
def test_bad_parameters_are_one_sentence(name, capsys):
    content, wanted = PARAMS[name]
    Path("data/scripts").mkdir(parents=True)
    Path("params.yaml").write_bytes(content)
    told = sentence_of(capsys, lambda: (whole.load(), prepare.main()))
    assert wanted in told
    assert "params.yaml" in told or "path" in told


def test_params_that_is_a_folder_or_a_pipe(capsys):
    Path("params.yaml").mkdir()
    assert "params.yaml is a folder, but should be a file" in sentence_of(capsys, prepare.main)
    Path("params.yaml").rmdir()
    os.mkfifo("params.yaml")
    assert "params.yaml is a pipe or a device" in sentence_of(capsys, prepare.main)


def test_a_date_in_yaml_stays_a_text():
    Path("p.yaml").write_text("base: 2024-13-45\nother: 2024-01-02\n")
    assert reading.read_yaml(Path("p.yaml")) == {"base": "2024-13-45", "other": "2024-01-02"}


def test_a_key_that_overrides_an_anchor_is_not_a_duplicate():
    Path("p.yaml").write_text("a: &a {x: 1, y: 1}\nb: {<<: *a, x: 2}\n")
    assert reading.read_yaml(Path("p.yaml"))["b"] == {"x": 2, "y": 1}


# metadata.csv


METADATA: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "metadata.csv holds no rows; write one line"),
    "one field": (b"a\n", "metadata.csv, line 1 has 1 fields; write it as"),
    "four fields": (b"a|b|c|d\n", "line 1 has 4 fields"),
    "an encoding that is not sure": ("a|ő\n".encode("iso-8859-2"), "line 1 is not UTF-8, and its encoding is not sure"),
    "a NUL": (b"a|b\0c\n", "metadata.csv has NUL bytes, so it is no text or damaged; save it again in the encoding"),
    "HTML": (b"<!DOCTYPE html>\n<html>\n", "metadata.csv, line 1 has 1 fields; write it as id|text or"),
    "Coqui's header": (
        b"audio_file|text|speaker_name\na|b|c\n",
        "line 1 is a header (audio_file|text|speaker_name); remove it, and write",
    ),
    "no id": (b"|b\n", "line 1 has no id; begin it with"),
    "a folder in the id": (b"../victim/keep|b\n", "has the id '../victim/keep'; use a plain file name"),
    "an id that clears the screen": (b"\x1b[2J|b\n", "has the id '\\x1b[2J'; use a plain file name"),
    "the same in one character": ("\x9b2J|b\n".encode(), "has the id '\\x9b2J'; use a plain file name"),
    "an id of 400 bytes": ("😀".encode() * 100 + b"|b\n", "makes a clip whose name has 405 bytes; shorten the id"),
    "an id of 300 letters": (b"a" * 300 + b"|b\n", "has an id of 300 characters; shorten it"),
    "an id in NFC and in NFD": ("é|b\ne\u0301|c\n".encode(), "repeats the id 'é' of line 1; rename or remove"),
    "an id twice": (b"a|b\na.opus|c\n", "line 2 repeats the id 'a.opus' of line 1"),
}


def source(path: str = "anna") -> LJSpeechSource:
    return LJSpeechSource(name="anna", reader="ljspeech", path=path, speaker="anna", language="en")


@pytest.mark.parametrize("name", METADATA)
def test_bad_metadata_is_one_sentence(name, capsys):
    content, wanted = METADATA[name]
    Path("anna").mkdir()
    Path("anna/metadata.csv").write_bytes(content)
    assert wanted in sentence_of(capsys, lambda: readers.read([source()]))


def test_metadata_that_is_a_pipe_or_a_link_out_is_refused(capsys, outside):
    Path("anna").mkdir()
    os.mkfifo("anna/metadata.csv")
    assert "metadata.csv is a pipe or a device" in sentence_of(capsys, lambda: readers.read([source()]))
    Path("anna/metadata.csv").unlink()
    (outside.parent / "secret").write_text("root|secret\n")
    Path("anna/metadata.csv").symlink_to(outside.parent / "secret")
    told = sentence_of(capsys, lambda: readers.read([source()]))
    assert "metadata.csv is a link that leads out of anna; put the file itself there" in told
    assert "root" not in told


# Recordings. A bad one is left out with a reason, and the others become clips.


def wav(path: Path, samples: np.ndarray, rate: int = RATE) -> None:
    soundfile.write(path, samples, rate, subtype="PCM_16")


def rf64(path: Path) -> None:
    """Write RF64: WAV with sizes of eight bytes, which some recorders write."""
    soundfile.write(path, speech(), RATE, format="RF64", subtype="PCM_16")


def halved(path: Path, format: str, subtype: str) -> None:
    soundfile.write(path, speech(), RATE, format=format, subtype=subtype)
    cut(path)


def cut(path: Path, share: float = 0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def encoded(path: Path, format: str, share: float = 1.0) -> None:
    path.write_bytes(formats.encode(speech(4), RATE, format))
    cut(path, share)


def claims_2_36_samples(path: Path) -> None:
    data = bytearray(formats.encode(speech(), RATE, "flac"))
    data[21] |= 0x0F  # STREAMINFO's number of samples has 36 bits, beginning in the lower half of byte 21
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)


def hours_of_silence(path: Path) -> None:
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(180):
            file.write(np.zeros(8000 * 60, np.float32))


def antiphase(path: Path) -> None:
    wav(path, np.stack([speech(), -speech()], axis=1))


def link_out(path: Path) -> None:
    path.symlink_to("../../../victim/keep.wav")


def ffconcat(path: Path) -> None:
    path.write_text("ffconcat version 1.0\nfile 'x.wav'\n")


def playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nx.wav\n#EXT-X-ENDLIST\n")


def noise(path: Path) -> None:
    wav(path, 0.3 * np.random.default_rng(1).standard_normal(2 * RATE).clip(-3, 3) / 3)


RECORDINGS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "claims 2^36 samples": ("a.flac", claims_2_36_samples, "too long: anna/wavs/a.flac is longer than 600 s"),
    "three hours of silence": ("a.flac", hours_of_silence, "too long: anna/wavs/a.flac is longer than 600 s"),
    "half a WAV": ("a.wav", lambda p: (wav(p, speech()), cut(p)), "cut off: anna/wavs/a.wav is shorter than its"),
    "half an RF64": ("a.wav", lambda p: (rf64(p), cut(p)), "cut off: anna/wavs/a.wav is shorter than its"),
    "half an AIFF": ("a.aiff", lambda p: (wav(p, speech()), cut(p)), "cut off: anna/wavs/a.aiff is shorter than"),
    "half an AIFF-C": ("a.wav", lambda p: halved(p, "AIFF", "FLOAT"), "cut off: anna/wavs/a.wav is shorter than"),
    "half an AU": ("a.wav", lambda p: halved(p, "AU", "PCM_16"), "cut off: anna/wavs/a.wav is shorter than"),
    "half a CAF": ("a.wav", lambda p: halved(p, "CAF", "PCM_16"), "cut off: anna/wavs/a.wav is shorter than"),
    "half a W64": ("a.wav", lambda p: halved(p, "W64", "PCM_16"), "cut off: anna/wavs/a.wav is shorter than"),
    "half an Ogg": ("a.ogg", lambda p: encoded(p, "ogg", 0.5), "cut off: anna/wavs/a.ogg is shorter than its"),
    "half an MP3": ("a.mp3", lambda p: encoded(p, "mp3", 0.5), "cut off: anna/wavs/a.mp3 is shorter than its"),
    "half a FLAC": ("a.flac", lambda p: encoded(p, "flac", 0.5), "undecodable: anna/wavs/a.flac cannot be decoded"),
    "an empty file": ("a.wav", lambda p: p.touch(), "undecodable: anna/wavs/a.wav holds no samples"),
    "a text": ("a.wav", lambda p: p.write_text("no sound"), "undecodable: anna/wavs/a.wav cannot be decoded"),
    "a list for FFmpeg": ("a.mp3", ffconcat, "undecodable: anna/wavs/a.mp3 cannot be decoded"),
    "a playlist": ("a.m4a", playlist, "undecodable: anna/wavs/a.m4a cannot be decoded"),
    "no samples": ("a.wav", lambda p: wav(p, np.zeros(0)), "undecodable: anna/wavs/a.wav holds no samples"),
    "not a number": ("a.wav", lambda p: soundfile.write(p, np.full(9, np.nan), RATE, subtype="FLOAT"), "not numbers"),
    "a pipe": ("a.wav", lambda p: os.mkfifo(p), "no plain file: anna/wavs/a.wav is a folder, a pipe or a device"),
    "a folder": ("a.wav", Path.mkdir, "no plain file: anna/wavs/a.wav is a folder"),
    "a link out of the source": ("a.wav", link_out, "link: anna/wavs/a.wav leads out of anna; put the"),
    "a link to nothing": ("a.wav", lambda p: p.symlink_to("gone"), "missing recording: anna/wavs/a.wav"),
    "a link to itself": ("a.wav", lambda p: p.symlink_to("a.wav"), "missing recording: anna/wavs/a.wav"),
    "a format that is not read": ("a.ra", lambda p: p.write_bytes(bytes(99)), "a.ra is not read: convert it"),
    "silence": ("a.wav", lambda p: wav(p, np.zeros(2 * RATE)), "silent"),
    "a constant level": ("a.wav", lambda p: wav(p, np.full(2 * RATE, 0.5)), "a constant level and no sound"),
    "white noise": ("a.wav", noise, "noise and no speech"),
    "a rate of 1 Hz": ("a.wav", lambda p: wav(p, speech(), 1), "unusable rate: anna/wavs/a.wav has 1 samples a second"),
    "a rate of 1 MHz": ("a.wav", lambda p: wav(p, speech(), 10**6), "unusable rate: anna/wavs/a.wav has 1000000"),
    "0.01 s": ("a.wav", lambda p: wav(p, speech(0.01)), "too short: 0.01 s, at least 0.5 s"),
}  # fmt: skip


def write_source(rows: str, params: str = "seed: 1\njobs: 1\nengine: local\nray_address:\nmax_restarts: 3\n") -> None:
    Path("anna/wavs").mkdir(parents=True)
    for name in "xyz":
        wav(Path(f"anna/wavs/{name}.wav"), speech())
    Path("anna/metadata.csv").write_text(rows + "x|One.\ny|Two.\nz|Three.\n", encoding="utf-8")
    one = "{name: anna, reader: ljspeech, path: anna, speaker: anna, language: en}"
    cleaning = "min_seconds: 0.5, max_seconds: 11.6, trim_db: 45, loudness: -23, peak: 0.95"
    Path("params.yaml").write_text(params + f"prepare: {{sources: [{one}], validation: 0.2, test: 0.2, {cleaning}}}\n")


def reason_of(id: str) -> str:
    written = Path("data/clips/left_out.csv").read_text(encoding="utf-8")
    return next((line for line in written.splitlines() if line.startswith(id + ",")), written)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_bad_recording_is_left_out_and_the_others_become_clips(name, capsys):
    file, make, wanted = RECORDINGS[name]
    write_source("a|Text.\n")
    make(Path("anna/wavs") / file)
    prepare.main()
    assert wanted in reason_of("anna-a")
    assert [entry.id for entry in clip.read(Path("data/clips/clips.csv"))] == ["anna-x", "anna-y", "anna-z"]
    assert "Traceback" not in capsys.readouterr().err


TEXTS = {"": "empty text", "...!?": "no words in the text", "a\x1b[2Jb": "control character in the text: U+001B",
         "a\x7fb": "control character in the text: U+007F", "word " * 60: "text too long"}  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_clip_with_a_bad_text_is_left_out(text):
    write_source(f"a|{text}\n")
    wav(Path("anna/wavs/a.wav"), speech())
    prepare.main()
    assert TEXTS[text] in reason_of("anna-a")


def test_unusual_recordings_are_read(outside):
    """Antiphase stereo, a file name in macOS's Unicode form, a link inside the source and one into DVC's cache."""
    write_source("one|One thing.\né|Another.\nlink|A third.\ncached|A fourth.\n")
    antiphase(Path("anna/wavs/one.wav"))
    wav(Path("anna/wavs") / unicodedata.normalize("NFD", "é.wav"), speech())
    Path("anna/wavs/link.wav").symlink_to("x.wav")
    cache = outside.parent / "cache/files/md5/ab"
    cache.mkdir(parents=True)
    wav(cache / "sound.wav", speech())
    (cache / "sound.wav").rename(cache / ("0" * 30))
    Path("anna/wavs/cached.wav").symlink_to(cache / ("0" * 30))
    prepare.main()
    made = {entry.id for entry in clip.read(Path("data/clips/clips.csv"))}
    assert {"anna-one", "anna-é", "anna-link", "anna-cached"} <= made, Path("data/clips/left_out.csv").read_text()


def test_a_whole_rf64_is_read():
    write_source("a|Text.\n")
    rf64(Path("anna/wavs/a.wav"))
    assert soundfile.info("anna/wavs/a.wav").format == "RF64"
    prepare.main()
    assert "anna-a" in {entry.id for entry in clip.read(Path("data/clips/clips.csv"))}, reason_of("anna-a")


@pytest.mark.parametrize("name", ["a.opus", "a.webm", "a.mp4", "a.aiff"])
def test_other_formats_are_read(name):
    from test_prepare import write_with_av

    write_source("a|Text.\n")
    path = Path("anna/wavs") / name
    if name == "a.aiff":
        wav(path, speech())
    else:
        write_with_av(path, speech(2, 48000), 48000, "aac" if name == "a.mp4" else "libopus")
    prepare.main()
    assert "anna-a" in {entry.id for entry in clip.read(Path("data/clips/clips.csv"))}, reason_of("anna-a")


# Results that stages write and read


def full(*_) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def readonly(*_) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


@pytest.mark.parametrize(("fault", "wanted"), [(full, "the disk is full; free some space"), (readonly, "is read-only")])
def test_a_full_or_read_only_disk_is_one_sentence(monkeypatch, capsys, fault, wanted):
    write_source("")
    monkeypatch.setattr(Path, "write_bytes", fault)
    told = sentence_of(capsys, prepare.main)
    assert told.startswith("data/clips/anna-")
    assert wanted in told


def in_the_way(path: str) -> Callable[[], object]:
    return lambda: (Path(path).parent.mkdir(exist_ok=True), Path(path).touch())


WAYS: dict[str, tuple[Callable[[], object], str]] = {
    "metrics is a file": (in_the_way("metrics"), "metrics cannot be written: something else of this name"),
    "data is a file": (in_the_way("data"), "data/clips cannot be written: a part of this path is a file"),
    "clips is a file": (in_the_way("data/clips"), "data/clips cannot be written: a part of this path is a file"),
    "clips is a link": (
        lambda: (Path("data").mkdir(), Path("data/clips").symlink_to("../../victim")),
        "data/clips leads through a link, but results stay in the project's own folders; remove the link",
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_file_or_link_in_place_of_a_results_folder_is_one_sentence(name, capsys):
    write_source("")
    make, wanted = WAYS[name]
    make()
    assert wanted in sentence_of(capsys, prepare.main)


CLIPS_HEAD = b"id,file,text,language,speaker,source,seconds,split\n"


def figures(path: Path) -> dict:
    return read_json(path, results.Prepared, "make it again")


DAMAGED: dict[str, tuple[Callable[[Path], object], bytes, str]] = {
    "clips.csv without columns": (clip.read, b"a,b\n1,2\n", "clips.csv should have the columns id, file, text"),
    "clips.csv without a number": (
        clip.read,
        CLIPS_HEAD + b"a,a.flac,t,en,s,s,x,test\n",
        "line 2 has a 'seconds' that",
    ),
    "clips.csv of no length": (clip.read, CLIPS_HEAD + b"a,a.flac,t,en,s,s,nan,test\n", "line 2 has a 'seconds' that"),
    "clips.csv of another side": (clip.read, CLIPS_HEAD + b"a,a.flac,t,en,s,s,1,best\n", "line 2 has a 'split' that"),
    "clips.csv of a file outside": (clip.read, CLIPS_HEAD + b"a,../../x.flac,t,en,s,s,1,test\n", "has a 'file' that"),
    "clips.csv cut in a cell": (clip.read, CLIPS_HEAD + b'a,a.flac,"t', "line 2 is damaged (unexpected end of data)"),
    "clips.csv cut in its last cell": (
        clip.read,
        CLIPS_HEAD + b"a,a.flac,t,en,s,s,1,test",
        "in the middle of its last",
    ),
    "clips.csv cut in a row": (clip.read, CLIPS_HEAD + b"a,a.flac,t\n", "line 2 is damaged (3 cells); run `dvc repro"),
    "clips.csv of nothing but zeros": (clip.read, bytes(99), "clips.csv is not UTF-8 but looks like UTF-16"),
    "figures that nest": (figures, b"[" * 99999, "clips.csv is not valid JSON; make it again"),
    "figures that are a list": (figures, b"[]", "clips.csv is not right: it should be a JSON object; make"),
    "figures of 5,000 digits": (figures, b'{"clips": ' + b"9" * 5000 + b"}", "clips.csv is not valid JSON; make it"),
    "a table of others": (table.read, b"a,b\n", "clips.csv should have the columns"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_result_is_one_sentence(name, capsys):
    read, content, wanted = DAMAGED[name]
    path = Path("data/clips/clips.csv")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert wanted in sentence_of(capsys, lambda: read(path))


def test_clips_that_do_not_match_the_manifest_are_refused(capsys):
    write_source("")
    prepare.main()
    capsys.readouterr()
    folder = Path("data/clips")
    clips = clip.read(folder / "clips.csv")
    clip.check_files(folder, clips)
    wav(folder / clips[0].file, speech(1))
    assert "is not the clip of clips.csv; run" in sentence_of(capsys, lambda: clip.check_files(folder, clips))
    (folder / clips[0].file).write_bytes(b"torn")
    assert "is no sound; run `dvc repro -s -f prepare`" in sentence_of(capsys, lambda: clip.check_files(folder, clips))
    (folder / clips[0].file).unlink()
    assert "is missing; run `dvc repro -s -f prepare`" in sentence_of(capsys, lambda: clip.check_files(folder, clips))


def test_the_report_escapes_markup_in_texts():
    shown_text = page.plain('<script>alert("x")</script> [a](javascript:b) |\n`c` *d* \x1b[2J &lt;')
    assert "<" not in shown_text
    assert "\n" not in shown_text
    assert "\x1b" not in shown_text
    assert "\\[a\\](javascript:b) \\|" in shown_text
    assert "&amp;lt;" in shown_text


# Scripts and the command `say`


def say(*arguments: str) -> None:
    given = command.parser().parse_args(["say", "--model", "none", *arguments])
    given.run(given)


def reference(make: Callable[[Path], object]) -> Callable[[], object]:
    def run() -> None:
        make(Path("r.wav"))
        given_as_reference.read(Path("r.wav"))

    return run


SAY: dict[str, tuple[Callable[[], object], str]] = {
    "no text": (lambda: say(), "give either a text to say or a --script"),
    "an empty text": (lambda: say(""), "there is nothing to say (no words in the text); give a text with words"),
    "punctuation": (lambda: say("?!..."), "there is nothing to say (no words in the text)"),
    "a control character": (lambda: say("a\x1b[2J"), "control character in the text: U+001B"),
    "another encoding": (lambda: say("\udcff"), "the text is not UTF-8; give it in the encoding UTF-8"),
    "out is a folder": (lambda: (Path("o.wav").mkdir(), say("a", "--out", "o.wav")), "o.wav is a folder; choose"),
    "out in no folder": (lambda: say("a", "--out", "no/o.wav"), "the folder no does not exist; make it, or choose"),
    "out below a file": (lambda: (Path("f").touch(), say("a", "--out", "f/o.wav")), "a part of this path is a file"),
    "out is a pipe": (lambda: (os.mkfifo("o.wav"), say("a", "--out", "o.wav")), "o.wav is a pipe or a device"),
    "out of 300 letters": (lambda: say("a", "--out", "a" * 300 + ".wav"), "the name is too long for the file system"),
    "out of another ending": (lambda: say("a", "--out", "a.aiff"), "a.aiff should end in .wav, .flac, .mp3 or .ogg"),
    "out where nobody may write": (lambda: say("a", "--out", "/proc/o.wav"), "/proc/o.wav cannot be written"),
    "a seed below 0": (lambda: say("a", "--seed", "-1"), "the command line: 'seed' is -1, but should be"),
    "a seed of 4,000 digits": (lambda: say("a", "--seed", "9" * 4000), "the command line: 'seed' is 999"),
    "a speed of NaN": (lambda: say("a", "--speed", "nan"), "'speed' is nan, but should be"),
    "a loudness of NaN": (lambda: say("a", "--loudness", "nan"), "'loudness' is nan, but should be"),
    "a script and a file": (
        lambda: (Path("said").touch(), say("--script", "x.txt", "--out", "said")),
        "said is a file, but --script needs a folder as --out",
    ),
    "a reference of 0.01 s": (reference(lambda p: wav(p, speech(0.01))), "--reference needs 0.5 s, better 6"),
    "a silent reference": (reference(lambda p: wav(p, np.zeros(RATE))), "r.wav is silent; give a recording of the"),
    "a reference of noise": (reference(noise), "r.wav is noise and no speech; give a recording of the speaker"),
    "a reference that is a pipe": (reference(lambda p: os.mkfifo(p)), "r.wav is a pipe or a device, but"),
    "no reference": (reference(lambda p: None), "r.wav is missing; add the recording, or correct what names it"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAY)
def test_bad_arguments_of_say_are_one_sentence(name, capsys):
    run, wanted = SAY[name]
    assert wanted in sentence_of(capsys, run)


def test_check_place_creates_no_file_and_keeps_an_existing_one():
    formats.check_place(Path("o.wav"))
    assert not list(Path(".").iterdir())
    Path("o.wav").write_bytes(b"before")
    formats.check_place(Path("o.wav"))
    assert Path("o.wav").read_bytes() == b"before"


ROW = {"file": "0001.wav", "key": "k", "sha256": "s", "seconds": 1.0}
MANIFESTS: dict[str, tuple[str, str]] = {
    "a file outside": (json.dumps([ROW | {"file": "../../victim/keep.txt"}]), "names the file '../../victim/keep.txt'"),
    "a sound outside": (json.dumps([ROW | {"file": "../victim/keep.wav"}]), "may name only sound files in its"),
    "a whole path": (json.dumps([ROW | {"file": "/victim/keep.wav"}]), "may name only sound files in its"),
    "a text inside": (json.dumps([ROW | {"file": "notes.txt"}]), "may name only sound files in its"),
    "the manifest itself": (json.dumps([ROW | {"file": "manifest.json"}]), "may name only sound files in its"),
    "a NUL": (json.dumps([ROW | {"file": "a\0.wav"}]), "may name only sound files in its"),
    "a file that is a number": (json.dumps([ROW | {"file": 1}]), "or `say --script` did not write it; remove it"),
    "rows of numbers": ("[1, 2]", "or `say --script` did not write it; remove it"),
    "no list": ("null", "or `say --script` did not write it; remove it"),
    "no JSON": ("[{", "is damaged, or `say --script` did not write it; remove it, or choose another folder"),
    "deep nesting": ("[" * 99999, "or `say --script` did not write it; remove it"),
    "seconds that are none": (json.dumps([ROW | {"seconds": "x"}]), "or `say --script` did not write it; remove it"),
    "seconds of 400 digits": (json.dumps([ROW]).replace("1.0", "1" + "0" * 400), "or `say --script` did not write it"),
    "seconds of 1e400": (json.dumps([ROW]).replace("1.0", "1e400"), "or `say --script` did not write it; remove it"),
    "half a character": (json.dumps([ROW | {"file": "\ud800.wav"}]), "or `say --script` did not write it; remove it"),
    "a file twice": (json.dumps([ROW, ROW]), "or `say --script` did not write it; remove it"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_bad_manifest_is_refused_and_other_files_stay(name, capsys):
    from voicetune.speech import script

    content, wanted = MANIFESTS[name]
    out = Path("said")
    out.mkdir()
    (out / "notes.txt").write_text("left alone")
    (out / "manifest.json").write_text(content)
    manner = script.Manner(None, 1, -23.0, None, "")
    told = sentence_of(capsys, lambda: script.make(None, [], lambda name: {}, out, manner))
    assert "said/manifest.json" in told
    assert wanted in told
    assert (out / "notes.txt").read_text() == "left alone"


def test_links_in_the_folder_of_a_script_are_not_followed(capsys, outside):
    from voicetune.speech import script

    out = Path("said")
    out.mkdir()
    files.beside(out / "0001.wav").symlink_to(outside / "keep.txt")
    files.put(out / "0001.wav", b"new")
    assert (out / "0001.wav").read_bytes() == b"new"
    for name in (script.MANIFEST, script.JOURNAL):
        (out / name).symlink_to(outside / "keep.txt")
        assert f"{name} is a link; remove it, or" in sentence_of(capsys, lambda: script._manifest(out))
        (out / name).unlink()


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_bad_journal_is_refused(name, capsys):
    from voicetune.speech import script

    content, wanted = MANIFESTS[name]
    try:
        rows = json.loads(content) or [None]
    except (ValueError, RecursionError):
        rows = None
    out = Path("said")
    out.mkdir()
    (out / script.JOURNAL).write_text("".join(json.dumps(row) + "\n" for row in rows) if rows else content + "\n")
    manner = script.Manner(None, 1, -23.0, None, "")
    told = sentence_of(capsys, lambda: script.make(None, [], lambda name: {}, out, manner))
    assert "said/manifest.jsonl" in told
    assert wanted in told


PIPELINES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "dvc.yaml holds no keys; restore it"),
    "no YAML": (b"stages: [", "dvc.yaml, line 1 is not valid YAML"),
    "no stages": (b"a: 1\n", "dvc.yaml has no stages; restore it with `git checkout dvc.yaml`"),
    "a list of stages": (b"stages: [a]\n", "dvc.yaml has no stages"),
    "a stage of nothing": (b"stages:\n  a:\n", "dvc.yaml: stage 'a' has no `cmd: python src/...`; write one"),
    "a command of nothing": (b"stages:\n  a:\n    cmd: ls\n", "dvc.yaml: stage 'a' has no `cmd: python src/"),
    "a script that is not there": (b"stages:\n  a:\n    cmd: python src/a.py\n    deps:\n", "src/a.py, which is"),
    "a command below its deps": (b"stages:\n  a:\n    deps:\n    cmd: python src/a.py\n", ".py, which is missing"),
    "Latin-1": (b"stages: \xe1\n", "dvc.yaml, line 1 is not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("write", [[], ["--write"]])
def test_deps_refuses_a_malformed_dvc_yaml(name, write, capsys):
    content, wanted = PIPELINES[name]
    Path("dvc.yaml").write_bytes(content)
    given = command.parser().parse_args(["deps", *write])
    assert wanted in sentence_of(capsys, lambda: given.run(given))
    assert Path("dvc.yaml").read_bytes() == content


def test_file_names_in_latin_1_work(capsys, monkeypatch):
    """File names that are not UTF-8 work: a --reference, a recording with another extension, a file to clean."""
    latin = os.fsdecode(b"\xe1.wav")
    wav(Path("a.wav"), speech())
    Path("a.wav").rename(latin)
    assert given_as_reference.read(Path(latin)).size
    assert given_as_reference.name_of(Path(latin)) == "\ufffd.wav"
    Path(latin).write_bytes(b"torn")
    assert "\\udce1.wav cannot be decoded" in sentence_of(capsys, lambda: given_as_reference.read(Path(latin)))
    write_source("a|Text.\n")
    Path("anna/wavs", "a." + os.fsdecode(b"\xe1")).touch()
    prepare.main()
    assert "a.\\udce1 is not read" in reason_of("anna-a")
    subprocess.run(["git", "init", "-q"], check=True)
    Path(".gitignore").write_text("/data/*\n")
    Path("dvc.yaml").touch()
    Path(".dvc").mkdir()
    Path("data/samples").mkdir()
    Path("data/samples", latin).touch()
    assert space.remove_made(Path.cwd())[0] > 4
    assert not Path("data/samples").exists()


def test_a_very_long_error_sentence_is_shortened(capsys):
    def told() -> None:
        raise UserError(f"a.csv begins with {'x' * 50_000}; correct its header.")

    said = sentence_of(capsys, told)
    assert len(said) < 1000
    assert said.startswith("a.csv begins with xxx")
    assert said.endswith("xxx; correct its header.")


def test_the_report_names_its_file_when_the_disk_is_full(capsys, monkeypatch):
    import made_up

    monkeypatch.setattr(page, "_players", lambda *_: [])
    monkeypatch.chdir(made_up.results(Path("made")))
    monkeypatch.setattr(Path, "write_bytes", full)
    assert "metrics/report/report.md cannot be written: the disk is full" in sentence_of(capsys, report.main)


def test_put_all_writes_no_file_if_one_of_them_is_a_folder():
    Path("a").write_bytes(b"old")
    Path("b").mkdir()
    with pytest.raises(UserError, match=r"^b cannot be written: a folder of this name is in the way; move it away\.$"):
        files.put_all({Path("a"): b"new", Path("b"): b"new"})
    assert Path("a").read_bytes() == b"old"
    assert {path.name for path in Path().iterdir()} >= {"a", "b"}
    assert not list(Path().glob(".*.part"))


def test_an_error_of_check_place_names_no_command_line_option(monkeypatch):
    Path("samples").mkdir()
    Path("samples/manifest.json").mkdir()
    with pytest.raises(UserError, match=r"manifest\.json is a folder; choose another place\.$"):
        formats.check_place(Path("samples/manifest.json"))


SOURCES = {"NUL": b"import os\0", "half": b"def run(", "UTF-16": "a = 1".encode("utf-16"), "deep": b"(" * 9999}


@pytest.mark.parametrize("name", SOURCES)
def test_deps_refuses_code_that_is_not_python(name, capsys):
    Path("src").mkdir()
    Path("src/a.py").write_bytes(SOURCES[name])
    Path("dvc.yaml").write_text("stages:\n  a:\n    cmd: python src/a.py\n    deps:\n")
    given = command.parser().parse_args(["deps"])
    told = sentence_of(capsys, lambda: given.run(given))
    assert told.startswith("src/a.py")
    assert "restore it with `git checkout`" in told or "in the encoding UTF-8" in told


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"languages": 1}', b"[" * 99999])
def test_a_damaged_bundle_is_one_sentence(content, capsys):
    from voicetune import readiness

    Path("params.yaml").write_text(DEFAULT)
    Path("pretrain/bundle").mkdir(parents=True)
    Path("pretrain/bundle/bundle.json").write_bytes(content)
    assert "pretrain/bundle/bundle.json" in sentence_of(capsys, lambda: readiness.check_params(whole.load()))


RUNS = {"NaN": b'{"a": NaN}', "1e400": b'{"a": 1e400}', "half a character": b'{"a": "\\ud800"}', "no text": b"\xff"}


@pytest.mark.parametrize("name", RUNS)
def test_adding_run_notes_replaces_a_damaged_file(name):
    run_notes.FOLDER.mkdir(parents=True)
    (run_notes.FOLDER / "a.json").write_bytes(RUNS[name])
    run_notes.add("a", {"seconds": 1.0})
    assert run_notes.read(run_notes.FOLDER / "a.json") == {"seconds": 1.0}


def test_explain_prints_no_control_characters(capsys):
    Path("machine.json").write_text(json.dumps([{"stages": ["a\x1b[2J"], "processor": "b\x1b[2J", "packages": {}}]))
    runs.explain(None)
    assert "\x1b" not in capsys.readouterr().out


def test_a_file_that_is_too_large_is_not_read(monkeypatch):
    from voicetune import machine

    for path in (Path("machine.json"), Path("run.json")):
        with path.open("wb") as file:
            file.truncate(files._LARGEST + 1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", full)
        patch.setattr(Path, "read_text", full)
        assert machine.read() == []
        assert not machine.has_conflict()
        assert run_notes.read(Path("run.json")) == {}


@pytest.mark.parametrize("place", ["metrics/compare", "metrics/run", "metrics"])
def test_figures_are_not_written_through_a_link(place, outside, capsys):
    Path(place).parent.mkdir(exist_ok=True)
    Path(place).symlink_to(outside)
    told = sentence_of(capsys, lambda: outputs.write_json(Path(place) / "figures.json", {}))
    assert told.startswith(f"{place} leads through a link")


def test_dvc_settings_that_are_a_pipe_are_refused():
    Path("dvc.yaml").touch()
    Path(".dvc").mkdir()
    os.mkfifo(".dvc/config")
    with pytest.raises(UserError, match=r"\.dvc/config is no plain file; restore it"):  # DVC would keep capsys' stream
        space.measure(Path.cwd())


SETTINGS = {
    "100,000 open brackets": "[" * 100_000,
    "100,000 brackets as a key": "[" * 100_000 + " = 1\n",
    "sections 124 deep": "".join("[" * i + "a" + "]" * i + "\n" for i in range(1, 125)),
    "one line that is too long": "[" * 5000 + "\n",
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("file", ["config", "config.local"])
def test_settings_of_dvc_that_are_brackets(name, file):
    Path("dvc.yaml").touch()
    Path(".dvc").mkdir()
    Path(".git").mkdir()
    Path(".dvc/config").touch()
    Path(".dvc", file).write_text(SETTINGS[name])
    for read in (lambda: space.measure(Path.cwd()), lambda: list(readiness._copying_cache(Path.cwd()))):
        with pytest.raises(UserError, match=r"\.dvc/config.*(correct it|shorten it)") as raised:
            read()
        assert len(str(raised.value)) < 400


def test_a_damaged_git_folder_is_one_sentence():
    Path("dvc.yaml").touch()
    Path(".dvc").mkdir()
    Path(".git").touch()
    with pytest.raises(UserError, match=r"\.git is no repository of git"):
        space.measure(Path.cwd())


SCRIPTS: dict[str, tuple[bytes | None, str]] = {
    "a.txt": (None, "a.txt is missing; give a script that exists"),
    "b.txt": (b"", "b.txt has no lines; write one text on each line"),
    "c.txt": ("Hello.\n".encode("utf-16-le"), "c.txt is not UTF-8 but looks like UTF-16; save"),
    "d.txt": (b"\xe1\n", "d.txt, line 1 is not UTF-8; save the file again"),
    "e.csv": (b'text\n"open\n', "e.csv, line 2 is not CSV (unexpected end of data); correct its quotes"),
    "f.csv": (b"\x1b[2J,b\na,b\n", "f.csv begins with '\\x1b[2J,b'; its columns are text"),
    "g.docx": (b"x", "g.docx should end in .txt, .csv or .tsv"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_bad_script_is_one_sentence(name, capsys):
    from voicetune.speech import script
    from voicetune.speech.voice import Line

    content, wanted = SCRIPTS[name]
    if content is not None:
        Path(name).write_bytes(content)
    assert wanted in sentence_of(capsys, lambda: script.read(Path(name), Line("", "en"), None, "wav"))


def test_a_cell_may_contain_a_unicode_line_separator():
    from voicetune.speech import script
    from voicetune.speech.voice import Line

    Path("a.csv").write_bytes("text,voice\nHello\u2028my friend,anna\n".encode())
    takes, faults = script.read(Path("a.csv"), Line("", "en"), None, "wav")
    assert not faults
    assert [(take.line.text, take.speaker) for take in takes] == [("Hello\u2028my friend", "anna")]


# The state of an unfinished training


LOCKS: dict[str, Callable[[Path, Path], object]] = {
    "a pipe": lambda lock, _: os.mkfifo(lock),
    "a folder": lambda lock, _: lock.mkdir(),
    "a link": lambda lock, victim: lock.symlink_to(victim / "keep.txt"),
    "a link to nothing": lambda lock, victim: lock.symlink_to(victim / "new.txt"),
    "in a folder that is a link": lambda lock, victim: (lock.parent.rmdir(), lock.parent.symlink_to(victim)),
}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_that_is_not_a_plain_file_is_refused(name, outside, capsys):
    from voicetune.training import state_folders

    place = Path("state/train_phase1-0123456789abcdef")
    place.mkdir(parents=True)
    LOCKS[name](place / "lock", outside)
    told = sentence_of(capsys, lambda: state_folders.locked(place).__enter__())
    assert told == f"{place}/lock leads through a link, or is not a plain file; remove it and run this again."


@pytest.mark.parametrize("content", [b"", b"1.0", b"1.0 x\n", b"\xff 1\n", b"1.0 7\n1.0 8\n"])
def test_half_written_records_of_attempts_are_read_without_error(content):
    from voicetune.training.attempts import Attempts

    Path("at").write_bytes(content)
    Path("failures.jsonl").write_bytes(b'{"attempt": "1.0", "step": 3, "why": "x"}\n{"attempt": "2.0", "st')
    attempts = Attempts(Path("."), "3.0", first=True)
    attempts.begin()
    attempts.check()
    assert attempts.list_restarts() == [{"step": 4, "why": "x"}]


def test_attempts_are_not_written_through_a_link(outside):
    from voicetune.training.attempts import Attempts

    for name in ("at", "failures.jsonl"):
        Path(name).symlink_to(outside / "keep.txt")
    Path("crash.log").symlink_to(outside / "new.txt")
    attempts = Attempts(Path("."), "3.0", first=True)
    attempts.begin()
    with pytest.raises(RuntimeError), attempts.recorded():
        raise RuntimeError("boom")
    assert attempts.list_restarts() == [{"step": 1, "why": "RuntimeError: boom"}]


# The size of the tables, and tests that start a process


def test_the_tables_have_at_least_100_cases():
    tables = (PARAMS, METADATA, RECORDINGS, TEXTS, WAYS, DAMAGED, SAY, MANIFESTS, SCRIPTS)
    assert sum(map(len, tables)) >= 100


@pytest.mark.slow
def test_prepare_reports_a_full_disk_from_a_worker_process(tmp_path):
    """Prepare into a full tmpfs of 1 MB. This needs the right to mount."""
    write_source("")
    prepare_section = yaml.safe_load(Path("params.yaml").read_text())["prepare"]
    prepare_section["sources"][0]["path"] = "data/raw/anna"
    Path("params.yaml").write_text(yaml.safe_dump({**yaml.safe_load(DEFAULT), "prepare": prepare_section}))
    Path("data").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", "data"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        shutil.copytree("anna", "data/raw/anna")
        with open("data/filler", "wb", buffering=0) as file, pytest.raises(OSError, match="space"):
            all(file.write(bytes(4096)) for _ in range(1000))
        done = subprocess.run(
            [sys.executable, str(ROOT / "src/prepare.py")], capture_output=True, text=True, timeout=120, cwd="."
        )
    finally:
        subprocess.run(["umount", "data"], check=True)
    assert done.returncode == 1
    assert "the disk is full; free some space" in done.stderr
    assert done.stderr.count("\n") == 1


FUZZ = """
import random, resource, signal, sys
from pathlib import Path
from voicetune.data import audio, recordings
from voicetune.errors import UserError
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
draw, kinds = random.Random(1), []
for number in range(300):
    path = draw.choice(sorted(Path("whole").iterdir()))
    data = bytearray(path.read_bytes())
    for _ in range(draw.randint(1, 8)):
        at = draw.randrange(min(len(data), draw.choice([64, 256, 4096])))
        put = draw.choice([b"\\xff" * 4, bytes(4), draw.randbytes(1), draw.randbytes(30)])
        data[at : at + draw.choice([1, 4])] = put
    Path("damaged" + path.suffix).write_bytes(data)
    signal.alarm(30)
    try:
        samples, rate = recordings.read(Path("damaged" + path.suffix))
        audio.fault_of(samples)
        kinds.append("read")
    except UserError as error:
        assert "\\n" not in str(error)
        kinds.append(getattr(error, "kind", ""))
print(len(kinds), len(set(kinds)))
"""


@pytest.mark.slow
def test_300_damaged_headers_neither_hang_nor_crash():
    """Read them in a process that is limited to 4 GiB of memory and 30 s for each file."""
    Path("whole").mkdir()
    for format in formats.FORMATS:
        encoded(Path("whole") / f"a.{format}", format)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", FUZZ], capture_output=True, text=True, errors="replace", timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, kinds = map(int, done.stdout.split())
    assert count == 300
    assert kinds > 2


def test_a_stage_does_not_empty_a_folder_through_a_link(tmp_path, monkeypatch):
    (tmp_path / "big" / "clips").mkdir(parents=True)
    (tmp_path / "big" / "clips" / "diary.txt").write_text("mine")
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    Path("data").symlink_to(tmp_path / "big")
    with pytest.raises(UserError, match="data/clips leads through a link"):
        outputs.make_empty(Path("data/clips"))
    assert (tmp_path / "big" / "clips" / "diary.txt").read_text() == "mine"
