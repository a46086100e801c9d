"""Stage quality and its parts: what each check finds in real recordings that were spoiled, and what is left out."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from conftest import ROOT

from voicetune.data import as_recorded, audio, clip, decisions, espeak, recordings
from voicetune.data.clip import Clip
from voicetune.data.split import TEST, TRAIN, VALIDATION
from voicetune.errors import UserError
from voicetune.params import reading
from voicetune.params.quality import QualityStage
from voicetune.quality import judging, measuring, summary, texts, twins, voices
from voicetune.quality.catalogue import BY_NAME, CHECKS
from voicetune.quality.judged import Judged, Reason, in_words

sys.path.insert(0, str(ROOT / "src"))
import prepare
import quality

SETTINGS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
WAVS = ROOT / "data/raw/questions/wavs"


def recording(number: int) -> tuple[np.ndarray, int]:
    """A default recording: samples, and 24,000 Hz."""
    return recordings.read(WAVS / f"q{number:03d}.opus")


def a_clip(id: str, text: str = "The same words for all.", side: str = TRAIN, seconds: float = 3.0) -> Clip:
    return Clip(id, f"{id}.flac", text, "en", "anna", "one", seconds, side)


# the sound as it was recorded


def with_noise(samples: np.ndarray, decibels: float) -> np.ndarray:
    level = np.sqrt(np.square(samples).mean()) * 10 ** (-decibels / 20)
    return samples + np.random.default_rng(0).normal(0, level, samples.size).astype(np.float32)


def in_the_middle_of_a_word(samples: np.ndarray, rate: int) -> np.ndarray:
    size = rate // 50
    loudest = int(np.abs(samples[: 2 * samples.size // 3]).argmax())
    return samples[: loudest + size // 2]


def after_silence(samples: np.ndarray, rate: int) -> np.ndarray:
    middle = samples.size // 2
    return np.concatenate([samples[:middle], np.zeros(3 * rate, np.float32), samples[middle:]])


HARM = {
    "clipped": (lambda s, r: s.clip(-0.1 * s.max(), 0.1 * s.max()), "clipped", 0.02, 1),
    "noisy": (lambda s, r: with_noise(s, 10), "snr", 0, 25),
    "quiet": (lambda s, r: s / 100, "level", -80, -50),
    "with an offset": (lambda s, r: s + 0.1, "dc", 0.05, 1),
    "cut": (in_the_middle_of_a_word, "end", -10, 10),
    "with a pause": (after_silence, "pause", 2.9, 5),
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("number", [1, 20])
def test_a_spoiled_recording_is_told_from_the_same_one_unspoiled(harm, number):
    samples, rate = recording(number)
    change, name, least, most = HARM[harm]
    before = getattr(as_recorded.measure("a", samples, rate), name)
    after = getattr(as_recorded.measure("a", change(samples, rate).astype(np.float32), rate), name)
    assert not least <= before <= most
    assert least <= after <= most


@pytest.mark.parametrize(("rate", "most"), [(8000, 4000), (16000, 8000), (24000, 12000)])
def test_the_bandwidth_is_that_of_the_rate_at_which_it_was_recorded(rate, most):
    samples, own = recording(5)
    narrow = audio.resample(audio.resample(samples, own, rate), rate, 48000)
    found = as_recorded.measure("a", narrow, 48000).bandwidth
    assert 0.85 * most < found <= 1.05 * most


def test_a_sound_of_one_sample_and_digital_silence_around_it_are_measured():
    one = as_recorded.measure("a", np.full(1, 0.5, np.float32), 8000)
    assert (one.snr, one.pause, one.clipped) == (0, 0, 1)
    around = np.concatenate([np.zeros(8000), recording(1)[0], np.zeros(8000)]).astype(np.float32)
    assert as_recorded.measure("a", around, 24000).start < -60


def test_a_table_that_lacks_a_clip_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [as_recorded.measure(name, *recording(1)) for name in ("a", "b")]
    as_recorded.write(rows)
    assert as_recorded.read([a_clip("b"), a_clip("a")]) == rows[::-1]
    with pytest.raises(UserError, match=r"as_recorded.csv lacks the clip 'c'; run `dvc repro -s -f prepare`"):
        as_recorded.read([a_clip("a"), a_clip("c")])


# texts


def test_pace_finds_a_text_of_another_length_and_says_nothing_of_a_short_one():
    said = [a_clip(f"c{i}", "These are twenty letters, I say") for i in range(9)]
    long, short = a_clip("long", "These are twenty letters, I say. " * 3), a_clip("short", "W.")
    found = texts.pace([*said, long, short, said[0]], [2.3] * 11 + [0.0])
    assert [one[0] for one in found[:9]] == [1.0] * 9
    assert found[9] == (pytest.approx(3.0, abs=0.1), "faster"), "as much speech for three times the text"
    assert found[10:] == [None, None]
    (*_, slow) = texts.pace([*said, said[0]], [2.3] * 9 + [4.3])
    assert slow == (pytest.approx(2.0, abs=0.1), "slower")


def test_letters_of_another_script_are_counted_by_speaker():
    clips = [
        a_clip("a", "Nothing is strange, é and ß included: 12 %."),
        a_clip("b", "Привет, said Anna to her friends."),
        Clip("j", "j.flac", "ひらがなとカタカナと漢字", "ja", "anna", "one", 3.0, TRAIN),
        Clip("r", "r.flac", "Привет", "ru", "ivan", "one", 3.0, TRAIN),
        a_clip("n", "1978, 25 µm, 1ª"),
        Clip("j2", "j2.flac", "人々は時々ＡＢＣと", "ja", "kei", "one", 3.0, TRAIN),
    ]
    assert texts.foreign_letters(clips) == [0, 6, 0, 0, 0, 3]


# twins


def test_a_copy_of_a_recording_is_found_and_the_held_out_one_stays():
    samples, rate = recording(1)
    copy = audio.resample(0.5 * with_noise(samples, 40), rate, 16000)
    sounds = [(copy, 16000), (samples, rate), recording(2), recording(3), (samples[:-2400], rate)]
    prints = np.stack([twins.fingerprint(*sound) for sound in sounds])
    sides = [TRAIN, TEST, TRAIN, VALIDATION, VALIDATION]
    clips = [a_clip(f"c{i}", side=side) for i, side in enumerate(sides)]
    found = twins.sounds(clips, prints, {one.id for one in clips})
    without = twins.sounds(clips, prints, {"c0", "c2", "c3", "c4"})
    assert without[0] is not None
    assert without[0][1] == "c4", "a clip that is left out has no copies"
    assert found[1] is None
    assert found[0] is not None
    assert found[0][0] > 0.99
    assert found[0][1] == "c1"
    assert found[4] is not None
    assert found[4][1] == "c1"
    assert all(found[i] is not None and found[i][0] < 0.9 for i in (2, 3))


def test_many_clips_are_compared_as_few_are(monkeypatch):
    prints = np.random.default_rng(0).normal(size=(50, 640)).astype(np.float32)
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    clips = [a_clip(f"c{i}", f"Text {i * i}.", (TRAIN, VALIDATION, TEST)[i % 3]) for i in range(50)]
    fit = {one.id for one in clips}
    before = twins.sounds(clips, prints, fit), twins.texts(clips, fit)
    monkeypatch.setattr(twins, "_AT_ONCE", 7)
    after = twins.sounds(clips, prints, fit), twins.texts(clips, fit)
    assert [one and one[1] for one in before[0]] == [one and one[1] for one in after[0]]
    assert before[1] == after[1]


def test_the_same_text_but_for_its_punctuation_is_found_across_sides_only():
    clips = [
        a_clip("t", "The conference is now locked.", TEST),
        a_clip("a", "the conference is now LOCKED", TRAIN),
        a_clip("b", "The conference is now locked!", TRAIN),
        a_clip("v", "Please enter your password.", VALIDATION),
        a_clip("c", "Please enter your passwords.", TRAIN),
    ]
    found = twins.texts(clips, {"t", "a", "b", "v", "c"})
    assert twins.texts(clips, {"a"}) == [None] * 5
    assert found[0] is None
    assert found[1] == found[2] == (1.0, "t")
    assert found[3] is not None
    assert found[3][0] < 0.7
    assert found[4] is not None
    assert found[4][1] == "v"
    assert 0.95 < found[4][0] < 1
    assert twins.texts([a_clip("a"), a_clip("b")], {"a", "b"}) == [None, None]


# voices


def test_another_speaker_is_far_from_the_median_clip(one_thread):
    encoder = measuring.SpeakerEncoder()
    own = [voices.measure(encoder, *recording(i)) for i in range(1, 9)]
    stranger = voices.measure(encoder, espeak.speak("This is somebody else who speaks.", "en-us"), espeak.SAMPLE_RATE)
    short = voices.measure(encoder, recording(1)[0][:12000], 24000)
    found = voices.likeness([*own, stranger, short], ["anna"] * 10)
    assert all(away is not None and away < 0.05 for away, _ in found[:8])
    assert found[8][0] > 0.2
    assert found[9] == (None, None)
    assert voices.likeness([short], ["anna"]) == [(None, None)]


# limits


def the_settings(**changed):
    data = {"device": "cpu", "quality": {**SETTINGS["quality"], **changed}}
    return reading.check(QualityStage, data, "params.yaml").quality


def measured(**figures) -> measuring.Measured:
    good = {"clipped": 0.0, "level": -20.0, "dc": 0.0, "snr": 60.0, "bandwidth": 10000.0, "edge": -60.0, "pause": 0.5,
            "speech": 0.8, "pace": 1.0, "letters": 0, "cer": None, "voice": 0.0, "voice_part": 0.8,
            "twin_sound": 0.5, "twin_text": 0.5}  # fmt: skip
    assert list(good) == [check.name for check in CHECKS]
    return measuring.Measured(good | figures, "", {"twin_text": "with b", "pace": "slower"})


def test_limits_leave_out_and_warn_with_a_sentence_each():
    found = measured(snr=9.96, clipped=0.01, twin_text=1.0, bandwidth=4000.0)
    (one,) = judging.judge([a_clip("a")], [found], the_settings(), ())
    assert in_words(one.reasons) == "signal to noise: 10.0 dB, at least 10.0 dB; same text: 1.00 with b, at most 0.97"
    assert [warning.check.name for warning in one.warnings] == ["clipped", "bandwidth"]
    assert [warning.says for warning in one.warnings] == [
        "clipped: 0.0100 of samples, at most 0.0020 of samples",
        "bandwidth: 4,000 Hz, at least 7,000 Hz",
    ]
    assert not one.kept
    (slow,) = judging.judge([a_clip("a")], [measured(pace=3.1)], the_settings(), ())
    assert in_words(slow.reasons) == "pace: 3.1 times slower, at most 2.5 times"
    (accepted,) = judging.judge([a_clip("a")], [found], the_settings(), ("a",))
    assert accepted.kept
    (fine,) = judging.judge([a_clip("a")], [measured()], the_settings(), ())
    assert fine.kept
    assert not fine.warnings
    none = {check.name: {"leave_out": None, "warn": None} for check in CHECKS}
    (all_kept,) = judging.judge([a_clip("a")], [found], the_settings(**none), ())
    assert all_kept.kept
    assert not all_kept.warnings


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"snr": {"leave_out": 30, "warn": 20}}, "quality.snr leaves out at 30 and warns at 20; higher is better"),
        ({"pace": {"leave_out": 1.5, "warn": 2}}, "quality.pace leaves out at 1.5 and warns at 2; lower is better"),
        ({"snr": {"leave_out": 30}}, "the key 'quality.snr.warn' is missing"),
        ({"loud": {"leave_out": 30, "warn": 1}}, "there is no key 'quality.loud'; allowed here are asr"),
        ({"snr": {"leave_out": "much", "warn": 1}}, "'quality.snr.leave_out' is 'much', but should be: a valid number"),
        ({"asr": ""}, "'quality.asr' is ''"),
    ],
)  # fmt: skip
def test_wrong_limits_are_one_sentence(changed, said):
    with pytest.raises(UserError) as raised:
        the_settings(**changed)
    assert said in str(raised.value)


def test_the_docs_and_the_preset_have_the_limits_of_params_yaml():
    lines = (ROOT / "docs/quality.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("| `")]
    rows = [(name.strip("`"), *limits) for _, name, _, *limits, _ in cells if len(limits) == 2]
    said = {name: {"leave_out": limit(out), "warn": limit(warn)} for name, out, warn in rows}
    preset = yaml.safe_load((ROOT / "presets/xtts_v2.yaml").read_text(encoding="utf-8"))
    assert {"asr": None, **said} == SETTINGS["quality"] == preset["quality"]
    ways = {name: {words.split()[0] for words in found if words} for name, *found in rows}
    assert ways == {one.name: {"above" if one.better == "lower" else "below"} for one in CHECKS}


def limit(words: str) -> float | None:
    """The number of `below 7,000`; None if there is none."""
    return float(words.split()[1].replace(",", "")) if words else None


# the summary


def judged(id: str, reasons=(), warnings=(), seconds: float = 60.0) -> Judged:
    """A clip that some checks leave out, and of which some warn."""
    found = [[Reason(BY_NAME[name], f"{name} is odd") for name in names] for names in (reasons, warnings)]
    return Judged(a_clip(id, seconds=seconds), measured().figures, *found)


def test_the_summary_says_whether_it_is_enough_and_what_to_mend_first():
    few = [judged("a"), judged("b", ["pace"]), judged("c", ["pace"])]
    few += [judged("d", ["clipped"]), judged("e", warnings=["clipped"])]
    said = summary.sentences(few)
    assert "2 minutes in 2 clips are left to train on: too little to learn a voice well" in said[0]
    assert "Of 5 clips, 3 are left out and 1 more are odd. The median clip has signal to noise 60 dB" in said[1]
    assert said[2].startswith("What to mend first? pace: listen whether")
    assert "gains 2 clips, 2 minutes" in said[2]
    for copy in (judged("f", ["twin_sound"]), judged("f", ["twin_sound", "pace"])):
        assert summary.sentences([judged("a"), copy])[2].startswith("What to mend first? Nothing")
    assert ": enough." in summary.sentences([judged(f"c{i}") for i in range(25)])[0]
    assert summary.sentences([judged("a")])[2] == "What to mend first? Nothing: no clip is left out, and none is odd."
    figures = summary.figures(few)
    assert figures["kept"] == {"clips": 2, "minutes": 2.0}
    assert figures["left_out"] == {"clipped": {"clips": 1, "minutes": 1.0}, "pace": {"clips": 2, "minutes": 2.0}}
    assert figures["warned"] == {"clipped": {"clips": 1, "minutes": 1.0}}


# the stage


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """Twelve default recordings and three that are spoiled: clipped, cut, and a copy of another one with its text."""
    folder = tmp_path / "data/raw/anna"
    (folder / "wavs").mkdir(parents=True)
    lines = (WAVS.parent / "metadata.csv").read_text(encoding="utf-8").splitlines()[:12]
    for line in lines:
        shutil.copy(WAVS / f"{line.split('|')[0]}.opus", folder / "wavs")
    samples, rate = recording(13)
    soundfile.write(folder / "wavs/clipped.flac", HARM["clipped"][0](samples, rate) * 5, rate)
    soundfile.write(folder / "wavs/cut.flac", in_the_middle_of_a_word(*recording(14)), rate)
    shutil.copy(WAVS / "q001.opus", folder / "wavs/zcopy.opus")
    texts_of = "clipped|Some words that are clipped, as many as there are in it, and even a few more of them.\n"
    texts_of += "cut|Some words that are cut, but not as many as before.\nzcopy|" + lines[0].split("|")[1] + "\n"
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n" + texts_of)
    source = {"name": "anna", "reader": "ljspeech", "path": "data/raw/anna", "speaker": "anna", "language": "en"}
    settings = {**SETTINGS, "jobs": 1, "prepare": {**SETTINGS["prepare"], "sources": [source]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.chdir(tmp_path)
    prepare.main()
    return tmp_path


def test_the_stage_leaves_out_what_is_spoiled_and_keeps_the_rest(project, capsys):
    quality.main()
    printed = capsys.readouterr().out
    kept = {one.id for one in clip.read(Path("data/quality/clips.csv"))}
    assert kept == {f"anna-q{i:03d}" for i in range(1, 13)}
    table = Path("data/quality/checks.csv").read_text(encoding="utf-8")
    assert "sound at the edge" in table
    assert "same sound: 1.000 with anna-q001" in table
    figures = json.loads(Path("metrics/quality.json").read_text())
    assert figures["kept"]["clips"] == 12
    assert {"clipped", "same sound", "sound at the edge"} <= set(figures["left_out"])
    assert "Of 15 clips, 3 are left out" in printed
    before = {path: path.read_bytes() for path in Path("data/quality").iterdir()}
    quality.main()
    assert {path: path.read_bytes() for path in Path("data/quality").iterdir()} == before


def test_an_accepted_clip_is_kept_and_the_page_shows_all(project):
    Path("data/decisions.csv").write_text("id,decision,text\nanna-cut,accept,\nanna-q002,reject,\n")
    prepare.main()
    quality.main()
    kept = {one.id for one in clip.read(Path("data/quality/clips.csv"))}
    assert kept == {f"anna-q{i:03d}" for i in range(1, 13) if i != 2} | {"anna-cut"}
    assert json.loads(Path("metrics/quality.json").read_text())["accepted"]["clips"] == 1
    page = Path("data/quality.html").read_text(encoding="utf-8")
    assert all(id in page for id in ("anna-clipped", "anna-cut", "anna-q002", "rejected: in data/decisions.csv"))


def test_a_link_in_the_place_of_a_table_leads_nowhere(project):
    outside = project / "precious.txt"
    outside.write_text("precious")
    Path("data/as_recorded.csv").unlink()
    Path("data/as_recorded.csv").symlink_to(outside)
    prepare.main()
    assert outside.read_text() == "precious"
    Path("data/decisions.csv").symlink_to("nothing")
    with pytest.raises(UserError, match=r"data/decisions.csv .*"):
        prepare.main()


def test_missing_clips_are_one_sentence(project):
    Path("data/clips/anna-q003.flac").unlink()
    with pytest.raises(UserError, match=r"anna-q003.flac is missing; run `dvc repro -s -f prepare`"):
        quality.main()
    Path("data/as_recorded.csv").unlink()
    prepare.main()
    Path("data/as_recorded.csv").unlink()
    with pytest.raises(UserError, match=r"as_recorded.csv is missing; run `dvc repro -s -f prepare`"):
        quality.main()


@pytest.mark.parametrize("cell", ["nan", "inf", "loud", ""])
def test_a_damaged_table_of_recordings_is_one_sentence(project, cell):
    path = Path("data/as_recorded.csv")
    rows = path.read_text().splitlines()
    rows[2] = ",".join([*rows[2].split(",")[:-1], cell])
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(UserError, match=r"as_recorded.csv, line 3 .*run `dvc repro -s -f prepare`"):
        quality.main()


def test_no_clips_are_one_sentence(project):
    clip.write(Path("data/clips/clips.csv"), [])
    with pytest.raises(UserError, match="none is left for train and validation and test"):
        quality.main()


def test_limits_that_leave_no_clip_out_of_a_side_are_one_sentence(project):
    settings = yaml.safe_load(Path("params.yaml").read_text())
    settings["quality"]["bandwidth"] = {"leave_out": 20000, "warn": None}
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    remedy = "loosen the limits of `quality` in params.yaml, or accept clips on data/quality.html"
    with pytest.raises(UserError) as error:
        quality.main()
    assert re.match(r"all 15 clips are left out, .*bandwidth: .*see data/quality/checks.csv and ", str(error.value))
    assert str(error.value).endswith(f" and {remedy}.")
    decisions.PATH.write_text(f"id,decision,text\n{clip.read(Path('data/clips/clips.csv'))[0].id},accept,\n")
    with pytest.raises(UserError, match=r"1 clip\(s\) remain, and none is left") as error:
        quality.main()
    assert str(error.value).endswith(f" and {remedy}, or add clips.")


@pytest.mark.parametrize("path", ["data/quality.html", "metrics/quality.json"])
def test_a_folder_in_the_place_of_a_result_is_told_before_the_work(project, monkeypatch, path):
    Path(path).unlink(missing_ok=True)
    Path(path).mkdir(parents=True)
    monkeypatch.setattr("voicetune.quality.measuring.measure_sounds", None)
    with pytest.raises(UserError, match=f"{path} cannot be written: a folder of this name is in the way; move it away"):
        quality.main()
