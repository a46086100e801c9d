"""Stage prepare and its parts: espeak, readers, audio, split, and the stage as a command."""

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyloudnorm
import pytest
import soundfile
import yaml

import prepare
from voicetune.data import audio, clip, espeak, readers, recordings, sounds
from voicetune.data.few import FEW
from voicetune.data.readers.espeak import EspeakSource
from voicetune.data.readers.ljspeech import LJSpeechSource
from voicetune.data.split import SIDES, TEST, TRAIN, VALIDATION, split
from voicetune.data.utterance import Speech
from voicetune.errors import UserError
from voicetune.params.languages import LANGUAGES
from voicetune.xtts.limits import CHARACTERS

ROOT = Path(__file__).parents[1]
RATE = audio.SAMPLE_RATE


def tone(seconds: float, rate: int = RATE, frequency: float = 440.0, amplitude: float = 0.3) -> np.ndarray:
    """A sine, shape (samples,), float32."""
    times = np.arange(int(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def frequency_of(samples: np.ndarray, rate: int = RATE) -> float:
    """The strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.fft.rfftfreq(samples.size, 1 / rate)[spectrum.argmax()])


def write_with_av(path: Path, samples: np.ndarray, rate: int, codec: str) -> None:
    """Encode mono samples as FFmpeg does."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


# espeak


SPEAK = """
import hashlib, sys
from voicetune.data import espeak
for before in sys.argv[1:]:
    espeak.speak(before, "en-us+f3")
print(hashlib.sha256(espeak.speak("Which river flows through Budapest?", "en-us+f3").tobytes()).hexdigest())
"""


def test_espeak_gives_the_same_bytes_in_every_process_and_after_other_texts():
    def in_a_process(*before: str) -> str:
        command = [sys.executable, "-c", SPEAK, *before]
        return subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=True).stdout.strip()

    here = espeak.speak("Which river flows through Budapest?", "en-us+f3")
    time.sleep(1.1)  # by default, espeak-ng seeds its noise with the clock's second
    assert hashlib.sha256(here.tobytes()).hexdigest() == in_a_process() == in_a_process("Seven.", "A longer one!")
    assert 1 < here.size / RATE < 4
    assert here.dtype == np.float32
    assert 0.05 < np.abs(here).max() <= 1


def test_espeak_obeys_rate_and_knows_hungarian():
    text = "Melyik folyó szeli ketté Budapestet?"
    assert espeak.speak(text, "hu", rate=120).size > 1.2 * espeak.speak(text, "hu", rate=200).size
    with pytest.raises(UserError, match="no voice 'klingonese'"):
        espeak.speak("Hello.", "klingonese")


# audio


def test_stereo_at_another_rate_becomes_mono_at_22050_and_keeps_its_pitch(tmp_path):
    stereo = np.stack([tone(1.5, 44100), np.zeros(66150, np.float32)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 44100)
    samples, rate = recordings.read(tmp_path / "a.wav")
    assert (samples.shape, samples.dtype, rate) == ((66150,), np.float32, 44100)
    assert np.abs(samples).max() == pytest.approx(0.15, abs=1e-3)  # averaged, not summed

    resampled = audio.resample(samples, rate)
    assert resampled.size == 33075
    assert frequency_of(resampled) == pytest.approx(440, abs=1)


def test_resampling_removes_frequencies_above_11025_hz():
    high = audio.resample(tone(1, 44100, frequency=15000), 44100)
    assert np.abs(high[1000:-1000]).max() < 1e-4


def test_trim_cuts_outer_silence_and_keeps_inner():
    quiet = np.zeros(RATE, np.float32)
    word = tone(0.5)
    trimmed = audio.trim(np.concatenate([quiet, word, quiet, word, quiet]), top_db=45)
    assert trimmed.size / RATE == pytest.approx(2.0 + 2 * 0.05, abs=0.06)  # 0.5 s + 1 s + 0.5 s, two margins, a frame


@pytest.mark.parametrize("amplitude", [0.003, 0.1, 0.9])
def test_level_reaches_the_loudness(amplitude):
    levelled = audio.level(tone(2, amplitude=amplitude), loudness=-23, peak=0.95)
    assert pyloudnorm.Meter(RATE).integrated_loudness(levelled.astype(np.float64)) == pytest.approx(-23, abs=0.5)


@pytest.mark.parametrize("seconds", [0.1, 2.0])
def test_level_never_passes_the_peak(seconds):
    spiky = tone(seconds, amplitude=0.01)
    spiky[1000] = 0.99
    assert np.abs(audio.level(spiky, loudness=-10, peak=0.5)).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.mp3", "mp3"), ("a.ogg", "libopus")])
def test_compressed_formats_are_read(tmp_path, name, codec):
    write_with_av(tmp_path / name, tone(1.5, 48000), 48000, codec)
    samples, rate = recordings.read(tmp_path / name)
    assert rate == 48000
    assert samples.size / rate == pytest.approx(1.5, abs=0.06)
    assert frequency_of(samples, rate) == pytest.approx(440, abs=1)
    inner = samples[5000:-5000]
    assert np.sqrt((inner**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


def test_written_clips_are_lossless_to_16_bit(tmp_path):
    samples = tone(0.5)
    audio.write(tmp_path / "deep" / "a.flac", samples)
    back, rate = recordings.read(tmp_path / "deep" / "a.flac")
    assert rate == RATE
    assert np.abs(back - samples).max() <= 1 / 32768


# readers


def source(path: Path, **changes) -> LJSpeechSource:
    fields = {"name": "anna", "reader": "ljspeech", "path": str(path), "speaker": "anna", "language": "en"}
    return LJSpeechSource(**{**fields, **changes})


def script_of(path: Path, **changes) -> EspeakSource:
    fields = {"name": "hu", "reader": "espeak", "path": str(path), "speaker": "anna", "language": "hu"}
    return EspeakSource(**{**fields, "voice": "hu", "rate": 150, "pitch": 50, **changes})


def test_ljspeech_reads_both_row_forms_both_folders_and_plain_quotes(tmp_path):
    (tmp_path / "wavs").mkdir()
    (tmp_path / "wav").mkdir()
    files = ["wavs/a.wav", "b.flac", "wavs/c.MP3", "wavs/d.x.ogg", "e.wav", "wavs/e.wav", "wavs/f.flac", "wavs/f.wav"]
    files += ["wav/h.wav", "wav/a.wav"]
    for file in files:
        (tmp_path / file).touch()
    rows = [
        'a|She said "yes',
        "b.flac|5 km|five kilometres",
        "c|  Kept. |",
        "",
        "d.x|D",
        "e|E",
        "f.flac|F",
        "g|G",
        "h|H",
    ]
    (tmp_path / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    found = readers.read([source(tmp_path)])
    assert [(u.id, u.text, str(u.origin.path.relative_to(tmp_path))) for u in found] == [
        ("anna-a", 'She said "yes', "wavs/a.wav"),
        ("anna-b", "five kilometres", "b.flac"),
        ("anna-c", "Kept.", "wavs/c.MP3"),
        ("anna-d.x", "D", "wavs/d.x.ogg"),
        ("anna-e", "E", "wavs/e.wav"),
        ("anna-f", "F", "wavs/f.flac"),
        ("anna-g", "G", "wavs/g.wav"),  # missing here; prepare leaves it out later
        ("anna-h", "H", "wav/h.wav"),
    ]
    assert {(u.speaker, u.language, u.source) for u in found} == {("anna", "en", "anna")}


def test_espeak_script_becomes_utterances(tmp_path):
    (tmp_path / "lines.txt").write_text("k1|Jó estét!\nk2|Üdvözlöm.\u2028Önt is.\n", encoding="utf-8")
    first, second = readers.read([script_of(tmp_path / "lines.txt", pitch=40)])
    assert (first.id, first.text, first.origin) == ("hu-k1", "Jó estét!", Speech("hu", 150, 40))
    assert second.text == "Üdvözlöm.\u2028Önt is."


FAULTS = {
    "no rows": (b"\n \n", "metadata.csv holds no rows; write one line id|text or id|text|normalised text"),
    "one field": (b"a|A\nb\n", "metadata.csv, line 2 has 1 fields; write it as id|text or"),
    "four fields": (b"a|A|A|A\n", "metadata.csv, line 1 has 4 fields"),
    "no id": (b"a|A\n\n|B\n", "metadata.csv, line 3 has no id"),
    "duplicate": (b"a|A\nb|B\na|C\n", "metadata.csv, line 3 repeats the id 'a' of line 1; rename or remove"),
    "duplicate by extension": (b"a|A\na.wav|B\n", "line 2 repeats the id 'a.wav' of line 1"),
    "not UTF-8": (
        b"a|A\nb|\xe1rv\xf5z\n",
        "metadata.csv, line 2 is not UTF-8, and its encoding is not sure; convert the file",
    ),
    "folder": (b"../a|A\n", "metadata.csv, line 1 has the id '../a'; use a plain file name"),
    "backslash": (b"x\\a|A\n", "use a plain file name"),
    "dots": (b"..|A\n", "use a plain file name"),
    "long": (b"a" * 300 + b"|A\n", "metadata.csv, line 1 has an id of 300 characters; shorten it"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_metadata_csv_is_one_sentence(tmp_path, fault):
    content, sentence = FAULTS[fault]
    (tmp_path / "metadata.csv").write_bytes(content)
    with pytest.raises(UserError) as error:
        readers.read([source(tmp_path)])
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_list_says_what_to_create(tmp_path):
    with pytest.raises(UserError, match=r"metadata.csv is missing; create it with one line id\|text or"):
        readers.read([source(tmp_path / "nowhere")])
    with pytest.raises(
        UserError, match=r"is a folder, but should be a file; create it with one line id\|text for each clip"
    ):
        readers.read([script_of(tmp_path)])  # a folder, not a script


def test_equal_clip_ids_of_two_sources_are_refused(tmp_path):
    for name, row in (("a", "b-1|One"), ("a-b", "1|Two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metadata.csv").write_text(row)
    sources = [source(tmp_path / name, name=name) for name in ("a", "a-b")]
    with pytest.raises(UserError, match="'a' and 'a-b' both make a clip 'a-b-1'; rename"):
        readers.read(sources)


def test_character_limits_equal_the_stock_tokenizers():
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    assert VoiceBpeTokenizer().char_limits == CHARACTERS
    assert set(CHARACTERS) == set(LANGUAGES), "the languages that params.yaml may have"


# split


CLIPS = [("one", f"Question number {i}?") for i in range(100)] + [("two", f"Answer number {i}.") for i in range(37)]


def texts_of(side, clips, share=0.1, seed=1, validation=0.1):
    """The (source, text) pairs of one side. `share` is the share of the test set."""
    return {pair for pair, own in zip(clips, split(clips, validation, share, seed), strict=True) if own == side}


def counts(clips, validation=0.1, test=0.1, seed=1) -> tuple[int, int, int]:
    """The numbers of training, validation and test clips."""
    sides = split(clips, validation, test, seed)
    return tuple(sides.count(side) for side in SIDES)


def numbered(count: int, source: str = "s") -> list[tuple[str, str]]:
    return [(source, f"Line {i}.") for i in range(count)]


def test_each_source_gives_its_share_to_validation_and_test():
    for side in (VALIDATION, TEST):
        chosen = texts_of(side, CLIPS)
        assert [sum(name == wanted for name, _ in chosen) for wanted in ("one", "two")] == [10, 4]
        assert chosen != texts_of(side, CLIPS, seed=2)
    assert not texts_of(VALIDATION, CLIPS) & texts_of(TEST, CLIPS)


@pytest.mark.parametrize(
    ("clips", "sides"), [(3, (1, 1, 1)), (5, (3, 1, 1)), (20, (16, 2, 2)), (60, (48, 6, 6)), (311, (249, 31, 31))]
)
def test_the_number_of_clips_on_each_side(clips, sides):
    for seed in range(5):
        assert counts(numbered(clips), seed=seed) == sides
    both = [*numbered(clips), *numbered(clips, "again")]
    assert counts(both) == tuple(2 * count for count in sides), "a second speaker of the same script doubles every side"


@pytest.mark.parametrize("clips", [3, 5, 20, 60, 311])
def test_the_test_clips_do_not_depend_on_the_validation_share(clips):
    tested = texts_of(TEST, numbered(clips))
    for share in (0.01, 0.2, 0.39):
        assert texts_of(TEST, numbered(clips), validation=share) == tested
        validated = texts_of(VALIDATION, numbered(clips), validation=share)
        assert len(validated) == max(1, round(share * clips))
        assert not validated & tested
    assert texts_of(TEST, numbered(clips), share=0.39) >= tested, "a larger test set contains the smaller one"


def test_three_texts_give_one_to_each_side_and_two_are_all_for_training():
    assert sorted(split([("s", "A"), ("s", "B"), ("s", "C")], 0.01, 0.01, 1)) == sorted(SIDES)
    assert split([("s", "A"), ("s", "B")], 0.01, 0.01, 1) == [TRAIN, TRAIN]
    assert split([("s", "A"), ("s", "a ")], 0.4, 0.4, 1) == [TRAIN, TRAIN]


def test_equal_texts_of_several_sources_are_on_one_side():
    shouted = [("three", f"  {text.upper().replace(' ', '  ')}") for _, text in CLIPS[50:]]
    clips = CLIPS + shouted
    sides = split(clips, 0.1, 0.1, 1)
    by_text: dict[str, set[str]] = {}
    for (_, text), side in zip(clips, sides, strict=True):
        by_text.setdefault(" ".join(text.lower().split()), set()).add(side)
    assert len(by_text) == 137
    assert all(len(seats) == 1 for seats in by_text.values())
    assert {side for seats in by_text.values() for side in seats} == set(SIDES)


@pytest.mark.parametrize("few", [3, 5, 20, 60])
def test_a_test_text_of_one_source_is_a_test_text_in_every_source(few):
    """A large source repeats the texts of a small one. Each alone would choose other texts for the test."""
    clips = [*numbered(few, "small"), *numbered(311, "large")]
    sides = dict(zip(clips, split(clips, 0.1, 0.1, 1), strict=True))
    assert all(sides["small", text] == sides["large", text] for _, text in numbered(few))
    held_out = texts_of(TEST, numbered(few, "small"))
    assert held_out <= {pair for pair, side in sides.items() if side == TEST}


def test_sources_with_the_same_script_hold_out_the_same_texts():
    clips = [(f"speaker {n}", text) for n in range(5) for _, text in CLIPS[:100]]
    assert counts(clips) == (400, 50, 50)


def test_the_split_does_not_depend_on_the_order():
    for side in (VALIDATION, TEST):
        assert texts_of(side, CLIPS) == texts_of(side, CLIPS[::-1])


def test_one_more_clip_moves_at_most_one_test_text_and_two_texts_in_all():
    before = {side: texts_of(side, CLIPS) for side in SIDES}
    moves, moves_in_all = [], []
    for i in range(30):
        new = ("two", f"Something new {i}.")
        moves.append(len((texts_of(TEST, [*CLIPS, new]) - {new}) ^ before[TEST]))
        after = {side: texts_of(side, [*CLIPS, new]) - {new} for side in SIDES}
        moves_in_all.append(sum(len(before[side] - after[side]) for side in SIDES))
    assert max(moves) == 1
    assert moves.count(0) > 15
    assert max(moves_in_all) <= 2
    assert moves_in_all.count(0) > 10


# the stage


LINES = [
    "Which river flows through Budapest?",
    "How many strings does a violin have?",
    "Hands on your buttons, please.",
    "That is correct, Anna!",
    "Welcome back, everybody.",
    "The red team is fifty points behind.",
    "Good evening, ladies and gentlemen.",
    "No.",
]


SCRIPT = "data/scripts/lines.txt"


def write_params(folder: Path, sources: list[dict], jobs: int = 1, **prepare_keys) -> None:
    """Write the default parameters with other sources. Validation and test get a fifth each, if not set otherwise."""
    cleaning = {"min_seconds": 0.5, "max_seconds": 11.6, "trim_db": 45, "loudness": -23, "peak": 0.95}
    shares = {"validation": 0.2, "test": 0.2}
    data = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    data |= {"jobs": jobs, "prepare": {"sources": sources, **shares, **cleaning, **prepare_keys}}
    (folder / "params.yaml").write_text(yaml.safe_dump(data))


def write_recordings(folder: Path) -> dict:
    """Write eight recordings with nine rows. Most of them have a fault."""
    wavs = folder / "data/raw/anna/wavs"
    wavs.mkdir(parents=True)
    padded = np.concatenate([np.zeros(44100, np.float32), tone(2, 44100), np.zeros(44100, np.float32)])
    soundfile.write(wavs / "good.wav", np.stack([padded, padded], axis=1), 44100)
    write_with_av(wavs / "phone.m4a", tone(1.5, 48000), 48000, "aac")
    soundfile.write(wavs / "long.wav", tone(9), RATE)
    soundfile.write(wavs / "click.wav", np.concatenate([np.zeros(RATE), tone(0.1), np.zeros(RATE)]), RATE)
    soundfile.write(wavs / "silent.wav", np.zeros(2 * RATE), RATE)
    (wavs / "broken.wav").write_bytes(b"RIFF and nothing else")
    for name in ("speechless", "wordy"):
        soundfile.write(wavs / f"{name}.wav", tone(1), RATE)
    texts = {
        "good": "Good.", "phone": "From a phone.", "long": "Long.", "click": "Click.", "silent": "Hush.",
        "broken": "Broken.", "gone": "Gone.", "speechless": "", "wordy": "word " * 60,
    }  # fmt: skip
    rows = "".join(f"{id}|{text}\n" for id, text in texts.items())
    (folder / "data/raw/anna/metadata.csv").write_text(rows)
    return {"name": "anna", "reader": "ljspeech", "path": "data/raw/anna", "speaker": "anna", "language": "en"}


def write_script(folder: Path, **changes) -> dict:
    (folder / "data/scripts").mkdir(parents=True, exist_ok=True)
    (folder / SCRIPT).write_text("".join(f"{i}|{line}\n" for i, line in enumerate(LINES)))
    fields = {"reader": "espeak", "path": SCRIPT, "speaker": "host", "language": "en", "voice": "en-us+f3"}
    fields |= {"rate": 150, "pitch": 50}
    return {"name": "host", **fields, **changes}


def run_stage(folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "src/prepare.py")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[Path, str]:
    """Run the stage as a command with two processes. Return its folder and what it printed."""
    folder = tmp_path_factory.mktemp("prepared")
    write_params(folder, [write_recordings(folder), write_script(folder)], max_seconds=8, jobs=2)
    done = run_stage(folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_stage_lists_every_clip_once(prepared):
    folder, _ = prepared
    clips = clip.read(folder / "data/clips/clips.csv")
    with (folder / "data/clips/left_out.csv").open(encoding="utf-8", newline="") as file:
        left_out = list(csv.DictReader(file))
    ids = [entry.id for entry in clips] + [row["id"] for row in left_out]
    assert len(ids) == len(set(ids)) == 9 + len(LINES)

    reasons = {row["id"]: row["reason"] for row in left_out if row["source"] == "anna"}
    wanted = {
        "anna-long": "too long: 9.00 s, at most 8 s",
        "anna-click": "too short: 0.2",
        "anna-silent": "silent",
        "anna-broken": "undecodable: data/raw/anna/wavs/broken.wav cannot be decoded",
        "anna-gone": "missing recording: data/raw/anna/wavs/gone.wav",
        "anna-speechless": "empty text",
        "anna-wordy": "text too long: 299 characters, at most 250 in 'en'",
    }
    assert set(reasons) == set(wanted)
    for id, beginning in wanted.items():
        assert reasons[id].startswith(beginning)


def test_stage_writes_clean_clips(prepared):
    folder, _ = prepared
    for entry in clip.read(folder / "data/clips/clips.csv"):
        samples, rate = soundfile.read(folder / "data/clips" / entry.file, always_2d=True)
        assert (rate, samples.shape[1]) == (RATE, 1)
        assert entry.seconds == pytest.approx(len(samples) / RATE, abs=0.0006)
        assert 0.5 <= entry.seconds <= 8
        assert np.abs(samples).max() <= 0.95 + 1 / 32768
        assert pyloudnorm.Meter(RATE).integrated_loudness(samples) == pytest.approx(-23, abs=0.5)
    seconds = {entry.id: entry.seconds for entry in clip.read(folder / "data/clips/clips.csv")}
    assert seconds["anna-good"] == pytest.approx(2.1, abs=0.06)


def test_stage_counts_what_it_wrote(prepared):
    folder, printed = prepared
    figures = json.loads((folder / "metrics/prepare.json").read_text())
    clips = clip.read(folder / "data/clips/clips.csv")
    assert figures["clips"] == len(clips)
    assert figures["minutes"] == pytest.approx(sum(entry.seconds for entry in clips) / 60, abs=0.006)
    assert figures["left_out"]["too long"] == 1
    assert sum(figures["left_out"].values()) + len(clips) == 9 + len(LINES)
    for name, amount in figures["sources"].items():
        for side in SIDES:
            own = [entry for entry in clips if (entry.source, entry.split) == (name, side)]
            assert amount[side]["clips"] == len(own)
            assert len(own) > 0 or name == "anna", "a source of two texts has no test clip"
        assert amount["clips"] == sum(amount[side]["clips"] for side in SIDES)
    for side in SIDES:
        assert figures[side]["clips"] == sum(amount[side]["clips"] for amount in figures["sources"].values())
    assert f"{len(clips)} clips" in printed
    assert "left out: 1 (undecodable)" in printed


def test_one_process_writes_the_same_bytes_as_two_and_imports_no_torch(prepared):
    folder, _ = prepared
    before = tree(folder)
    (folder / "data/clips/stale.flac").touch()  # a clip of an earlier run, which the stage removes
    settings = (folder / "params.yaml").read_text()
    code = "import sys, prepare; prepare.main(); assert 'torch' not in sys.modules"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    try:
        (folder / "params.yaml").write_text(settings.replace("jobs: 2", "jobs: 1"))
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    finally:
        (folder / "params.yaml").write_text(settings)
    assert done.returncode == 0, done.stderr
    after = tree(folder)
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == []


def test_no_clip_left_and_no_validation_clip_left_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, [write_script(tmp_path)], min_seconds=7, max_seconds=8)
    with pytest.raises(UserError) as error:
        prepare.main()
    assert re.fullmatch(
        r"all 8 clips are left out, for example 'host-0' \(too short: .*\); see .*left_out.csv and lower"
        r" prepare.min_seconds in params.yaml\.",
        str(error.value),
    )
    assert len((tmp_path / "data/clips/left_out.csv").read_text().splitlines()) == 9

    write_params(tmp_path, [write_script(tmp_path)], jobs=1)
    (tmp_path / SCRIPT).write_text("a|The same text twice.\nb|the same  TEXT twice.\n")
    with pytest.raises(UserError, match=r"2 clip\(s\) remain, and none is left for validation and test: a source"):
        prepare.main()


@pytest.mark.parametrize("shares", [0.05, 0.1, 0.4])
def test_two_texts_are_too_few_and_three_are_enough(tmp_path, monkeypatch, shares):
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, [write_script(tmp_path)], validation=shares, test=shares)
    rows = [f"{name}|Line number {name}, to be spoken.\n" for name in "abc"]
    (tmp_path / SCRIPT).write_text("".join(rows[:2]))
    with pytest.raises(UserError) as error:
        prepare.main()
    said = str(error.value)
    assert said.startswith("2 clip(s) remain, and none is left for ")
    assert "a source needs three different texts, one to train on, one to choose the model and one to judge it" in said
    assert "left_out.csv and add clips" in said
    assert not (tmp_path / "data/clips/clips.csv").exists()
    (tmp_path / SCRIPT).write_text("".join(rows))
    prepare.main()
    assert sorted(entry.split for entry in clip.read(tmp_path / "data/clips/clips.csv")) == sorted(SIDES)


def warnings_of(folder: Path, capsys, count: int, **shares: float) -> tuple[dict[str, int], list[str]]:
    """Prepare `count` clips. Return the number of clips on each side, and the warnings."""
    write_params(folder, [write_script(folder)], **shares)
    (folder / SCRIPT).write_text("".join(f"{i}|This is line {i}.\n" for i in range(count)))
    return outcome(folder, capsys)


def outcome(folder: Path, capsys) -> tuple[dict[str, int], list[str]]:
    prepare.main()
    figures = json.loads((folder / "metrics/prepare.json").read_text())
    printed = capsys.readouterr().out.splitlines()
    return {side: figures[side]["clips"] for side in SIDES}, [line for line in printed if line.startswith("warning")]


def test_few_validation_or_test_clips_give_a_warning(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sounds, "sound", lambda utterance: (tone(1.0), RATE))
    assert warnings_of(tmp_path, capsys, 60, validation=0.1, test=0.1) == ({TRAIN: 48, VALIDATION: 6, TEST: 6}, [])
    sides, warned = warnings_of(tmp_path, capsys, 20, validation=0.1, test=0.1)
    assert sides == {TRAIN: 16, VALIDATION: 2, TEST: 2}
    assert [re.match(r"warning: (\w+) has 2 clip\(s\), and with fewer than 6 ", line)[1] for line in warned] == [
        TEST, VALIDATION,
    ]  # fmt: skip
    assert "hardly any difference can be shown; record more, or set prepare.test to " in warned[0]
    assert "the best model is chosen by chance; record more, or set prepare.validation to " in warned[1]


def proposals_that_end_it(prepared) -> int:
    """Follow the warnings' proposals, and check that they work and are not too large. Return their number."""
    _, warned = prepared({"validation": 0.1, "test": 0.1})
    assert len(warned) == 2
    proposed = [re.search(r"set prepare\.(\w+) to ([\d.]+) in params\.yaml", line) for line in warned]
    shares = {found[1]: float(found[2]) for found in proposed if found}
    sides, warned = prepared({"validation": 0.1, "test": 0.1, **shares})
    assert len(warned) == 2 - len(shares)
    assert all(sides[side] >= FEW for side in shares)
    assert all("record more, or" not in line for line in warned)
    if shares:  # 0.01 less would not be enough
        less = {side: share - 0.01 for side, share in shares.items()}
        assert len(prepared({"validation": 0.1, "test": 0.1, **less})[1]) == 2
    return len(shares)


@pytest.mark.parametrize(
    ("count", "proposals"), [(8, 0), (13, 1), (15, 2), (16, 2), (17, 2), (20, 2), (23, 2), (31, 2), (45, 2), (54, 2)]
)
def test_following_the_proposal_of_a_warning_ends_it(tmp_path, monkeypatch, capsys, count, proposals):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sounds, "sound", lambda utterance: (tone(0.6), RATE))
    assert proposals_that_end_it(lambda shares: warnings_of(tmp_path, capsys, count, **shares)) == proposals


def test_a_proposed_share_allows_for_rounding_in_small_sources(tmp_path, monkeypatch, capsys):
    """0.3 of 20 clips is 6, but of four sources of 5 clips it is 4. So the proposed share must be larger."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sounds, "sound", lambda utterance: (tone(0.6), RATE))
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text("".join(f"{i}|{name} says {i}.\n" for i in range(5)))

    def prepared(shares: dict[str, float]) -> tuple[dict[str, int], list[str]]:
        write_params(tmp_path, [write_script(tmp_path, name=name, path=f"{name}.txt") for name in "abcd"], **shares)
        return outcome(tmp_path, capsys)

    assert proposals_that_end_it(prepared) == 2


def test_an_unknown_voice_ends_the_command_without_a_traceback(tmp_path):
    write_params(tmp_path, [write_script(tmp_path, voice="klingonese")], jobs=2)
    done = run_stage(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: espeak-ng has no voice 'klingonese'")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["questions", "host"])
def test_a_script_and_the_recordings_made_of_it_have_the_same_texts(name):
    """The tests let espeak-ng read the script where the pipeline has the recordings."""
    script, recorded = ROOT / f"data/scripts/{name}.txt", ROOT / f"data/raw/{name}/metadata.csv"
    assert script.read_text(encoding="utf-8") == recorded.read_text(encoding="utf-8")
