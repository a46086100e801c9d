"""Long recordings: what is cut where, what is recognised once, and what is left out."""

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from test_prepare import ROOT, tone, write_params, write_with_av

import prepare
import transcribe
from voicetune import readiness
from voicetune.data import audio, clip, csv_tables, cut, espeak, readers, recordings
from voicetune.data.readers.long import LongSource
from voicetune.data.utterance import Segment
from voicetune.errors import UserError
from voicetune.params import whole
from voicetune.recognition.intelligibility import character_errors
from voicetune.transcripts import cutting, making, matching, recognition, stretches
from voicetune.transcripts.cutting import Stretch
from voicetune.transcripts.matching import AlignedWord
from voicetune.transcripts.recognition import Word, WordRecogniser

FOLDER = Path("data/raw/talks")
SOURCE = {"name": "talks", "reader": "long", "path": str(FOLDER), "speaker": "anna", "language": "en"}
QUESTIONS = ROOT / "data/raw/questions"
RATE = 24000


class Talk(NamedTuple):
    """Recordings of known texts, glued together. spoken: begin and end of each, in seconds."""

    samples: np.ndarray
    texts: list[str]
    spoken: list[tuple[float, float]]


def glued(first: int, count: int, seed: int) -> Talk:
    """Some of the repository's questions with pauses between them."""
    rows = (QUESTIONS / "metadata.csv").read_text(encoding="utf-8").splitlines()[first : first + count]
    rng, at, sounds, spoken = np.random.default_rng(seed), 1.0, [np.zeros(RATE, np.float32)], []
    for row in rows:
        samples, rate = recordings.read(QUESTIONS / "wavs" / f"{row.split('|')[0]}.opus")
        assert rate == RATE
        sound = audio.trim(samples, 45, 0.0, RATE)
        pause = np.zeros(round(rng.uniform(0.4, 1.2) * RATE), np.float32)
        spoken.append((at, at + len(sound) / RATE))
        sounds += [sound, pause]
        at += (len(sound) + len(pause)) / RATE
    samples = np.concatenate(sounds)
    samples += 0.0005 * rng.standard_normal(len(samples)).astype(np.float32)
    return Talk(samples, [row.split("|")[1] for row in rows], spoken)


@pytest.fixture(scope="module")
def talk() -> Talk:
    return glued(0, 6, 1)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """An empty project whose source has the reader `long`, and tiny.en as its recogniser."""
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir(parents=True)
    set_params()
    return tmp_path


def set_params(asr: str = "tiny.en", **keys) -> None:
    write_params(Path(), [{**SOURCE, **keys}])
    text = Path("params.yaml").read_text().replace("asr: small", f"asr: {asr}")
    assert f"  asr: {asr}\n" in text
    Path("params.yaml").write_text(text)


@pytest.fixture
def recognised_seconds(monkeypatch) -> list[float]:
    """The seconds of each sound that the recogniser gets."""
    recognised: list[float] = []
    recognise = WordRecogniser.recognise

    def counted(self, samples):
        recognised.append(len(samples) / stretches.RATE)
        return recognise(self, samples)

    monkeypatch.setattr(WordRecogniser, "recognise", counted)
    return recognised


@pytest.fixture
def no_model(monkeypatch) -> None:
    """A recogniser without a model, which writes a word a second."""
    monkeypatch.setattr(
        making, "open_recogniser", lambda _, language, *__: WordRecogniser(None, "stand-in", language, 1)
    )
    monkeypatch.setattr(WordRecogniser, "recognise", lambda _, samples: (hellos(samples), ""))


def hellos(samples: np.ndarray) -> list[Word]:
    seconds = len(samples) / stretches.RATE
    return [
        Word(text=" Hello", start=at, end=min(at + 0.9, seconds), probability=0.9)
        for at in np.arange(0.1, seconds - 0.3)
    ]


def speech(seconds: float, rate: int = 22050) -> np.ndarray:
    """Recorded speech of about so many seconds."""
    samples, own = recordings.read(QUESTIONS / "wavs/q001.opus")
    sound = audio.resample(audio.trim(samples, 45, 0.0, own), own, rate)
    return np.resize(sound, round(seconds * rate))


def left_out() -> list[str]:
    return [part.reason for part in csv_tables.read(cut.LEFT_OUT, cut.Unused, "-")]


def faults() -> dict[str, str]:
    return {Path(one.file).name: one.fault for one in csv_tables.read(cut.FILES, cut.LongFile, "-")}


# The whole way


def test_a_phone_recording_becomes_clips(project, talk, recognised_seconds):
    """An m4a without a text: cuts in the pauses, the right texts, and the clips that prepare makes of them."""
    write_with_av(FOLDER / "talk.m4a", talk.samples, RATE, "aac")
    transcribe.main()
    found = cut.read("talks")
    assert all(one.file == "data/transcripts/talks/talk.flac" for one in found)
    for edge in (edge for one in found for edge in (one.start, one.end)):
        inside = [one for one in talk.spoken if one[0] + 0.06 < edge < one[1] - 0.06]
        assert not inside or quiet_at(talk, edge), f"a cut at {edge} s in {inside}"
    errors, characters = character_errors(" ".join(talk.texts), " ".join(one.text for one in found), "en")
    assert errors / characters < 0.05
    assert energy(talk, [(one.start, one.end) for one in found]) > 0.99
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert not left_out()

    prepare.main()
    clips = clip.read(Path("data/clips/clips.csv"))
    assert {one.text for one in clips} == {one.text for one in found}
    assert max(one.seconds for one in clips) <= 11.6
    (one, *_) = readers.read(whole.load().prepare.sources)
    assert one.origin == Segment(Path(found[0].file), found[0].start, found[0].end)
    assert one.id == f"talks-talk-{round(found[0].start * 100):07d}"

    before = {path: path.read_bytes() for path in sorted(cut.FOLDER.rglob("*.csv"))}
    times = {path: path.stat().st_mtime_ns for path in sorted(recognition.KEPT.rglob("*.json"))}
    recognised_seconds.clear()
    transcribe.main()
    assert not recognised_seconds
    assert {path: path.stat().st_mtime_ns for path in sorted(recognition.KEPT.rglob("*.json"))} == times
    assert {path: path.read_bytes() for path in sorted(cut.FOLDER.rglob("*.csv"))} == before
    soundfile.write(FOLDER / "more.wav", speech(4), 22050)
    transcribe.main()
    assert sum(recognised_seconds) == pytest.approx(4.2, abs=0.5)
    assert [one.id.rpartition("-")[0] for one in cut.read("talks")] == ["more"] + ["talk"] * len(found)


def energy(talk: Talk, spans: list[tuple[float, float]]) -> float:
    """The share of the sound's energy that lies in some spans of seconds."""
    power = np.square(talk.samples, dtype=np.float64)
    return sum(power[round(start * RATE) : round(end * RATE)].sum() for start, end in spans) / power.sum()


def quiet_at(talk: Talk, seconds: float) -> bool:
    """Whether nothing is to be recognised at a time, inside a recording too: it has pauses of its own."""
    at = round(seconds * RATE)
    around = talk.samples[at - RATE // 50 : at + RATE // 50]
    return float(np.sqrt(np.mean(np.square(around)))) < 0.02 * float(np.abs(talk.samples).max())


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(project, talk, recognised_seconds, monkeypatch):
    monkeypatch.setattr(recognition, "_PART", 15)
    soundfile.write(FOLDER / "talk.wav", talk.samples, RATE)
    recognise = WordRecogniser.recognise

    def killed(self, samples):
        if len(recognised_seconds) >= 1:
            raise KeyboardInterrupt
        return recognise(self, samples)

    monkeypatch.setattr(WordRecogniser, "recognise", killed)
    with pytest.raises(KeyboardInterrupt):
        transcribe.main()
    monkeypatch.setattr(WordRecogniser, "recognise", recognise)
    kept = sorted(recognition.KEPT.rglob("*.json"))
    assert [path.name for path in kept] == ["0000.json"]
    first, seconds = kept[0].stat().st_mtime_ns, sum(recognised_seconds)
    recognised_seconds.clear()
    transcribe.main()
    assert kept[0].stat().st_mtime_ns == first
    assert sum(recognised_seconds) < len(talk.samples) / RATE - seconds + 1.0
    resumed = cut.table("talks").read_bytes()
    for path in recognition.KEPT.rglob("*.json"):
        path.unlink()
    transcribe.main()
    assert cut.table("talks").read_bytes() == resumed
    text = " ".join(one.text for one in cut.read("talks"))
    errors, characters = character_errors(" ".join(talk.texts), text, "en")
    assert errors / characters < 0.05


def test_a_transcript_gives_the_texts_and_wrong_lines_are_left_out(project, talk):
    soundfile.write(FOLDER / "talk.flac", talk.samples, RATE)
    texts = [*talk.texts]
    texts[3] = "This is something else, which the speaker has never said, not even once."
    (FOLDER / "talk.txt").write_text("\n\n".join(texts), encoding="utf-8")
    transcribe.main()
    found = cut.read("talks")
    said = " ".join(one.text for one in found)
    for text in texts[:3] + texts[4:]:
        assert text in said
    assert "something else" not in said
    start, end = talk.spoken[3]
    assert not [one for one in found if min(one.end, end) - max(one.start, start) > 0.5]
    assert any("the transcript says" in reason for reason in left_out())
    assert {one.file for one in found} == {str(FOLDER / "talk.flac")}  # FLAC can be read in parts: no copy


def test_one_list_has_the_transcripts_of_several_recordings(project, no_model):
    """The list gives the texts. A transcript beside a recording comes before it, and the others are recognised."""
    for name in ("a.wav", "b.wav", "c.wav"):
        soundfile.write(FOLDER / name, speech(4), 22050)
    (FOLDER / "b.txt").write_text("Hello hallo hello hello.")
    (FOLDER / "transcripts.csv").write_text('file,text\na.wav,"Hello, hullo [cough] hello hello."\nb.m4a,Never said.\n')
    transcribe.main()
    texts = {name: " ".join(one.text for one in cut.read("talks") if one.id.startswith(name)) for name in "abc"}
    assert texts["a"] == "Hello, hullo hello hello."
    assert texts["b"] == "Hello hallo hello hello."
    assert set(texts["c"].split()) == {"Hello"}
    rows = csv_tables.read(cut.FILES, cut.LongFile, "-")
    assert [one.text for one in rows] == ["transcripts.csv", "b.txt", "recogniser"]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("d.wav,Hello.", "line 3 names 'd.wav', which is no recording of data/raw/talks; correct the name"),
        ("a.flac,Hello.", "line 3 repeats the id 'a.flac' of line 2"),
        ("b.wav,[music]", "line 3 holds no words; write what is said there, or remove the line"),
        ("b.wav", "line 3 has 1 fields, and the header has 2"),
    ],
)
def test_a_faulty_list_of_transcripts_is_one_sentence(project, no_model, row, wanted):
    for name in ("a.wav", "b.wav"):
        soundfile.write(FOLDER / name, speech(2), 22050)
    (FOLDER / "transcripts.csv").write_text(f"file,text\na.wav,Hello.\n{row}\n")
    assert f"transcripts.csv, {wanted}" in error_of(transcribe.main)
    assert not recognition.KEPT.exists(), "it is told before anything is transcribed"


def test_a_list_in_an_older_encoding_needs_the_language(project, no_model):
    soundfile.write(FOLDER / "a.wav", speech(2), 22050)
    (FOLDER / "transcripts.csv").write_bytes("file,text\na.wav,Jó estét.\n".encode("iso8859_2"))
    set_params(asr="small", language="auto")
    assert "transcripts.csv, line 2 is not UTF-8, and its encoding is not sure" in error_of(transcribe.main)


def test_only_the_speaker_of_the_sample_is_kept(project, no_model):
    """The quiz master, and espeak-ng's voice between."""
    robot = np.tile(espeak.speak("Nobody should keep what this machine says to you.", "en-us"), 2)[: 22050 * 4]
    gap = np.zeros(22050 * 3, np.float32)
    sample = np.tile(recordings.read(QUESTIONS / "wavs/q002.opus")[0], 2)
    soundfile.write(FOLDER / "sample.wav", sample, RATE)
    soundfile.write(FOLDER / "talk.wav", np.concatenate([speech(5), gap, robot, gap, speech(5), gap]), 22050)
    set_params(keep_speaker="sample.wav")
    transcribe.main()
    starts = [one.start for one in cut.read("talks")]
    assert any(start < 5 for start in starts)
    assert any(start > 14 for start in starts)
    assert not [start for start in starts if 6 < start < 14]
    assert all(reason.startswith("another speaker: similarity 0.") for reason in left_out())


# Cutting


def words(*spoken: tuple[str, float, float]) -> list[AlignedWord]:
    return [AlignedWord(f" {text}", f" {text}", start, end, 0.9) for text, start, end in spoken]


def pieces(found: list[Stretch], said: list[AlignedWord], longest: float = 11.3, characters: int = 250) -> list[tuple]:
    made = cutting.clips(cutting.phrases(found, said), 0.5, longest, characters)
    return [(one.text, round(one.start, 2), round(one.end, 2), one.reason.partition(":")[0]) for one in made]


def row(*bounds: tuple[float, float]) -> list[Stretch]:
    """Stretches that may be cut in the middle of the pauses."""
    ends = [start for start, _ in bounds[1:]] + [bounds[-1][1] + 1]
    return [Stretch(start, end, (end + after) / 2) for (start, end), after in zip(bounds, ends, strict=True)]


def test_sentences_are_cut_at_their_ends_although_other_pauses_are_longer():
    found = row((1, 4), (4.7, 8), (8.3, 12), (12.3, 16))
    said = words(("This is the", 1, 4), ("first one.", 4.7, 8), ("This is the", 8.3, 12), ("second one.", 12.3, 16))
    assert pieces(found, said) == [
        ("This is the first one.", 0.85, 8.15, ""), ("This is the second one.", 8.15, 16.15, ""),
    ]  # fmt: skip


def test_a_long_sentence_is_cut_at_its_longest_pause_and_never_without_one():
    found = row((0, 5), (5.2, 9), (9.7, 14), (14.2, 17))
    said = words(("a long one", 0, 5), ("of many", 5.2, 9), ("words and", 9.7, 14), ("pauses.", 14.2, 17))
    assert pieces(found, said) == [("a long one of many", 0.0, 9.15, ""), ("words and pauses.", 9.55, 17.15, "")]
    assert pieces(row((0, 12)), words(("words and words", 0, 6), ("and words.", 6, 12))) == [
        ("words and words and words.", 0.0, 12.15, "no pause to cut at in 12.0 s")
    ]


def test_short_sentences_are_joined_unless_the_pause_is_long():
    said = words(("Yes.", 1, 2), ("No.", 2.5, 3.5), ("Maybe.", 6, 7))
    assert pieces(row((1, 2), (2.5, 3.5), (6, 7)), said) == [("Yes. No.", 0.85, 3.65, ""), ("Maybe.", 5.85, 7.15, "")]
    assert pieces(row((1, 1.3), (5, 8)), words(("Oh.", 1, 1.3), ("Well then.", 5, 8)))[0][3] == "too short"


def test_no_text_is_longer_than_the_model_takes():
    said = words(("a" * 30 + ".", 0, 2), ("b" * 30 + ".", 2.3, 4))
    assert len(pieces(row((0, 2), (2.3, 4)), said, characters=40)) == 2
    assert len(pieces(row((0, 2), (2.3, 4)), said, characters=70)) == 1


def test_a_pause_is_not_used_if_a_word_may_be_on_both_sides():
    said = words(("one", 0, 3), ("astride", 2.6, 3.8), ("three.", 3.8, 6))
    assert len(cutting.phrases(row((0, 3), (3.3, 6)), said)) == 1
    apart = words(("one", 0, 2.9), ("two", 2.5, 3.1), ("three.", 3.3, 6))  # times are loose: 0.1 s into the pause
    assert [phrase.text for phrase in cutting.phrases(row((0, 3), (3.3, 6)), apart)] == [" one two", " three."]


def test_a_word_that_is_stretched_over_a_pause_belongs_to_its_speech():
    for begin in (3.0, 2.85):
        said = words(("one", 0, begin), ("two.", begin, 5.4), ("three.", 5.4, 6))
        assert [one.text for one in cutting.phrases(row((0, 3), (5, 6)), said)] == [" one", " two. three."]


def test_speech_without_words_and_other_reasons_end_a_clip():
    found = row((0, 3), (3.5, 4.5), (5, 8))
    said = words(("The first.", 0, 3), ("The second.", 5, 8))
    assert [piece[0::3] for piece in pieces(found, said)] == [
        ("The first.", ""), ("", "speech without words"), ("The second.", ""),
    ]  # fmt: skip
    found[1] = found[1]._replace(reason="another speaker: similarity 0.41")
    said.insert(1, *words(("Hm.", 3.5, 4.5)))
    assert [piece[0::3] for piece in pieces(found, said)] == [
        ("The first.", ""), ("Hm.", "another speaker"), ("The second.", ""),
    ]  # fmt: skip
    near = cutting.phrases(row((0, 3), (3.2, 3.5), (5, 8)), words(("One.", 0, 3), ("Two.", 5, 8)))
    assert [(one.start, one.end) for one in near] == [(0, 3.5), (5, 8)]  # the sound may be the end of a word


def test_a_word_of_two_speakers_goes_to_the_one_who_is_kept():
    found = row((0, 3), (3.3, 6))
    found[0] = found[0]._replace(reason="another speaker: similarity 0.41")
    phrases = cutting.phrases(found, words(("Yes.", 2, 4), ("That is it.", 4, 6)))
    assert [(one.text, one.start, bool(one.reason)) for one in phrases] == [
        ("", 0, True), (" Yes. That is it.", 3.3, False),
    ]  # fmt: skip


def test_a_recording_that_is_heard_in_parts_is_not_cut_between_them():
    said = words(("one", 0, 2.9), ("two.", 3.1, 6))
    assert [phrase.text for phrase in cutting.phrases(row((0, 3), (3.01, 6)), said)] == [" one two."]


# Pauses


def test_pauses_are_found_in_noise_and_closures_of_consonants_are_none(talk):
    noisy = audio.resample(talk.samples, RATE, stretches.RATE)
    noisy = noisy + 0.01 * np.random.default_rng(0).standard_normal(len(noisy)).astype(np.float32)
    found = stretches.find(noisy)
    for before, after in pairwise(talk.spoken):
        middle = (before[1] + after[0]) / 2
        assert not [one for one in found if one[0] < middle < one[1]], f"no pause at {middle:.2f} s"
    assert energy(talk, found) > 0.98
    assert all(after[0] - before[1] >= stretches.PAUSE - 0.02 for before, after in pairwise(found))


def test_there_is_no_speech_in_silence_and_tones():
    assert stretches.find(np.zeros(5 * stretches.RATE, np.float32)) == []
    chord = sum(tone(5, stretches.RATE, f, 0.1) for f in (220, 277.2, 329.6))
    assert stretches.find(chord) == []


def test_the_quietest_moment_of_a_pause():
    samples = np.full(16000, 0.5, np.float32)
    samples[9600:11200] = 0.001
    assert stretches.quietest(samples, 0.2, 0.9) == pytest.approx(0.65, abs=0.06)


# Transcripts


def said(*spoken: str) -> list[Word]:
    return [Word(text=f" {text}", start=float(i), end=i + 0.8, probability=0.9) for i, text in enumerate(spoken)]


def test_a_transcript_takes_the_times_of_what_is_heard():
    found = matching.match(said("Hello,", "worlds", "again", "and", "again."), "Hello world! Again and again", "en")
    assert [(one.text, one.recognised, one.start) for one in found] == [
        (" Hello", " Hello,", 0), (" world!", " worlds", 1), (" Again", " again", 2), (" and", " and", 3),
        (" again", " again.", 4),
    ]  # fmt: skip


def test_words_that_only_one_of_both_has():
    found = matching.match(said("one", "um", "three", "four"), "one three four five", "en")
    assert [(one.text, one.recognised) for one in found] == [
        (" one", " one"), ("", " um"), (" three", " three"), (" four", " four"), (" five", ""),
    ]  # fmt: skip
    assert found[-1].start == found[-1].end == found[-2].end
    missing = matching.match(said("a", "d"), "a b c d", "en")
    assert [(one.start, one.end) for one in missing[1:3]] == [(0.8, pytest.approx(0.9)), (pytest.approx(0.9), 1.0)]


def test_chinese_is_matched_by_its_characters():
    recognised = [
        Word(text="你好", start=0.0, end=1.0, probability=0.9),
        Word(text="世界", start=1.0, end=2.0, probability=0.9),
    ]
    found = matching.match(recognised, "你好，世界。", "zh")
    assert "".join(one.text for one in found) == "你好，世界。"
    assert [one.start for one in found if one.text in "你好世界"] == [0.0, 0.5, 1.0, 1.5]


SUBTITLES = {
    "talk.srt": (
        "1\n00:00:01,000 --> 00:00:02,500\n<i>Good</i> evening,\n\n"
        "2\n00:00:03,000 --> 00:00:04,000\n{\\an8}(laughs) everybody.\n"
    ),
    "talk.vtt": (
        "WEBVTT\n\nNOTE not this\n\nintro\n00:01.000 --> 00:02.500 align:start\nGood <c.x>evening</c>,\n\n"
        "00:03.000 --> 00:04.000\n♪ everybody. [music]\n"
    ),
    "talk.txt": "Good evening,\n\n[music] everybody.\r\n",
}


@pytest.mark.parametrize("name", SUBTITLES)
def test_the_words_of_subtitles(tmp_path, name):
    (tmp_path / name).write_text(SUBTITLES[name])
    (tmp_path / "talk.mp4").touch()
    assert matching.transcript_of(tmp_path / "talk.mp4") == tmp_path / name
    assert matching.read(tmp_path / name, "en") == "Good evening, everybody."


def test_agreement_ignores_case_punctuation_and_how_numbers_are_written():
    assert matching.agreement("Good evening, everybody!", "good evening everybody", "en") == 1
    assert matching.agreement("In nineteen sixty nine?", "In 1969?", "en") == 1
    assert matching.agreement("Good evening.", "Where is my hat?", "en") < 0.5


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-2"])
def test_a_transcript_may_be_in_an_older_encoding(tmp_path, encoding):
    said = "Jó estét kívánok, hölgyeim és uraim, ő itt a műsorvezető, és most következik az első kérdés."
    (tmp_path / "talk.txt").write_bytes(said.encode(encoding))
    assert matching.read(tmp_path / "talk.txt", "hu") == said


# Bad input: the other files are kept


def write_video_without_sound(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for packet in [*stream.encode(av.VideoFrame(32, 32, "yuv420p")), *stream.encode(None)]:
            container.mux(packet)


def cut_off(path: Path) -> None:
    soundfile.write(path, speech(8), 22050)
    path.write_bytes(path.read_bytes()[:-100_000])


BAD = {
    "silence.wav": (lambda p: soundfile.write(p, np.zeros(22050 * 3), 22050), "no speech is found in"),
    "music.wav": (lambda p: soundfile.write(p, tone(5) + tone(5, frequency=550), 22050), "no speech is found in"),
    "video.mp4": (write_video_without_sound, "has no sound, only a picture; replace or remove it"),
    "text.mp3": (lambda p: p.write_text("no sound"), "cannot be decoded"),
    "empty.wav": (lambda p: p.touch(), "holds no samples"),
    "nothing.wav": (lambda p: soundfile.write(p, np.zeros(0), 22050), "holds no samples"),
    "link.wav": (lambda p: p.symlink_to("/etc/hostname"), "leads out of data/raw/talks"),
    "wordless.wav": (
        lambda p: (soundfile.write(p, speech(3), 22050), p.with_suffix(".txt").write_text("[music]\n")),
        "wordless.txt holds no words; write what is said there, or remove it",
    ),
    "cutoff.wav": (cut_off, "is shorter than its header says"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_sentence_and_the_others_are_kept(project, no_model, capsys, name):
    write, wanted = BAD[name]
    soundfile.write(FOLDER / "good.wav", speech(4), 22050)
    write(FOLDER / name)
    transcribe.main()
    assert faults()["good.wav"] == ""
    assert wanted in faults()[name]
    assert "\n" not in faults()[name]
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2, "a line for each recording"
    assert sum(line.startswith(f"{FOLDER / name}: ") for line in told) == 1
    names = {one.id.rpartition("-")[0] for one in cut.read("talks")}
    assert names == ({"good", "cutoff"} if name == "cutoff.wav" else {"good"})


def test_speech_in_another_language_is_left_out(project, no_model, monkeypatch):
    seen = []

    def recognise(_, samples):
        seen.append(len(samples))
        return ([], "de") if len(seen) == 2 else (hellos(samples), "")

    monkeypatch.setattr(WordRecogniser, "recognise", recognise)
    gap = np.zeros(22050 * 3, np.float32)
    soundfile.write(FOLDER / "talk.wav", np.concatenate([speech(5), gap, speech(6), gap, speech(5), gap]), 22050)
    transcribe.main()
    assert "in another language: de" in left_out()
    assert not [one for one in cut.read("talks") if one.end > 8 and one.start < 14]
    assert [one for one in cut.read("talks") if one.start > 15]


class Multilingual:
    """A stand-in for a multilingual model. A recording is in German if it is loud, else in English; or it is unsure."""

    def __init__(self, probability: float = 0.9):
        self.probability, self.heard = probability, []

    def detect_language(self, samples):
        self.heard.append(len(samples) / stretches.RATE)
        language = "de" if np.abs(samples).max() > 0.3 else "en"
        return "la", 0.95, [("la", 0.95), (language, self.probability), ("fr", 0.02)]  # Latin: voicetune has none


@pytest.fixture
def multilingual(no_model, monkeypatch) -> Multilingual:
    model = Multilingual()
    monkeypatch.setattr(
        making, "open_recogniser", lambda _, language, *__: WordRecogniser(model, "stand-in", language, 1)
    )
    return model


def test_the_language_of_each_recording_is_detected_once(project, multilingual, capsys):
    """From its first speech alone: silence comes before it, and more speech after it."""
    loud = speech(40) / np.abs(speech(40)).max()
    soundfile.write(FOLDER / "deutsch.wav", np.concatenate([np.zeros(22050 * 5), 0.9 * loud]), 22050)
    soundfile.write(FOLDER / "english.wav", 0.1 * loud, 22050)
    set_params(language="auto")
    transcribe.main()
    told = capsys.readouterr().out.splitlines()
    assert "data/raw/talks/deutsch.wav: the language is 'de' (probability 0.90)" in told
    assert {one.id.split("-")[1]: one.language for one in readers.read(whole.load().prepare.sources)} == {
        "deutsch": "de", "english": "en",
    }  # fmt: skip
    assert len(multilingual.heard) == 2
    assert all(20 < seconds <= 30 for seconds in multilingual.heard)
    before = cut.table("talks").read_bytes()
    transcribe.main()
    assert len(multilingual.heard) == 2, "the language is kept"
    assert cut.table("talks").read_bytes() == before
    assert "the language is" not in capsys.readouterr().out
    parts = set(recognition.KEPT.rglob("*.json"))
    set_params(language="de")
    transcribe.main()
    assert len(set(recognition.KEPT.rglob("*.json")) - parts) == 1, "english.wav in German is new, deutsch.wav is kept"


def test_a_language_that_is_not_sure_costs_one_recording(project, multilingual):
    soundfile.write(FOLDER / "talk.wav", speech(4), 22050)
    soundfile.write(FOLDER / "silence.wav", np.zeros(22050 * 3), 22050)
    set_params(language="auto")
    multilingual.probability = 0.4
    assert error_of(transcribe.main).startswith("'talks' gives no clip: no speech is found in data/raw/talks/silence")
    assert faults() == {
        "silence.wav": "no speech is found in data/raw/talks/silence.wav; remove it, or replace it by a recording of "
        "speech.",
        "talk.wav": "the language of data/raw/talks/talk.wav is not sure ('de' has a probability of 0.40); write the "
        "language of its source in params.yaml.",
    }


def test_an_english_recogniser_detects_no_language(project):
    soundfile.write(FOLDER / "talk.wav", speech(4), 22050)
    set_params(language="auto")
    wanted = "transcribe.asr is 'tiny.en', which reads English only, but the language is 'auto'; set transcribe.asr in"
    assert wanted in error_of(transcribe.main)
    assert wanted in error_of(lambda: readiness.check_params(whole.load()))
    set_params("small", language="auto")
    readiness.check_params(whole.load())
    Path("pretrain/bundle").mkdir(parents=True)
    shutil.copy(ROOT / "pretrain/bundle/bundle.json", "pretrain/bundle")
    wanted = "prepare.sources (talks) is 'auto', but the tiny base speaks en only; correct the language, take another"
    assert wanted in error_of(lambda: readiness.check_params(whole.load()))
    set_params(reader="texts", language="auto")
    assert "'prepare.sources.0.language' is 'auto', but should be: a language's code" in error_of(whole.load)


def error_of(call) -> str:
    with pytest.raises(UserError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_bad_sources_are_one_sentence(project, no_model):
    assert error_of(transcribe.main) == (
        "data/raw/talks holds no recordings; put sound files or videos there, such as talk.m4a."
    )
    soundfile.write(FOLDER / "talk.wav", np.zeros(22050 * 3), 22050)
    told = error_of(transcribe.main)
    assert told.startswith("'talks' gives no clip: no speech is found in data/raw/talks/talk.wav; remove it, or")
    soundfile.write(FOLDER / "talk.flac", speech(4), 22050)
    assert "data/raw/talks/talk.flac and talk.wav would have the same clips; rename or" in error_of(transcribe.main)
    (FOLDER / "talk.wav").unlink()
    set_params(keep_speaker="sample.wav")
    wanted = (
        "keep_speaker of 'talks': missing recording: data/raw/talks/sample.wav; give a recording in data/raw/talks."
    )
    assert error_of(transcribe.main) == wanted
    soundfile.write(FOLDER / "sample.wav", speech(1), 22050)
    wanted = "data/raw/talks/sample.wav has 0.9 s of sound; keep_speaker needs 3 s, better 10."
    assert error_of(transcribe.main) == wanted
    set_params(path="data/raw/nobody")
    assert "data/raw/nobody is no folder; put the long recordings there, or correct" in error_of(transcribe.main)


def test_a_missing_recogniser_is_told_by_its_key(project):
    soundfile.write(FOLDER / "talk.wav", speech(4), 22050)
    (project / "empty").mkdir()
    set_params("empty")
    assert "transcribe.asr is 'empty', but the folder empty holds no model that can be" in error_of(transcribe.main)
    set_params("no-such-name")
    assert "transcribe.asr is 'no-such-name', which is no folder here and no name" in error_of(transcribe.main)
    set_params(language="hu")
    wanted = "transcribe.asr is 'tiny.en', which reads English only, but the language is 'hu'; set transcribe.asr in"
    assert wanted in error_of(transcribe.main)
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("asr: tiny.en", "asr: small", 1))
    assert wanted in error_of(lambda: readiness.check_params(whole.load()))  # what `make repro` begins with


def test_prepare_names_the_stage_whose_table_is_missing(project):
    assert "data/transcripts/talks/clips.csv is missing; run `dvc repro -s -f transcribe`" in error_of(prepare.main)


def test_without_long_sources_nothing_is_opened(tmp_path):
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    heavy = ["torch", "faster_whisper", "ctranslate2", "librosa", "soundfile", "numpy"]
    code = f"import sys, transcribe; transcribe.main(); print([one for one in {heavy} if one in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n[]\n")
    assert sorted(path.name for path in (tmp_path / "data/transcripts").iterdir()) == ["files.csv", "left_out.csv"]
    assert not (tmp_path / ".cache").exists()


def test_a_recording_of_hours_is_streamed(tmp_path):
    """No more than a block is in memory, and the samples are those of the whole file."""
    sound = np.tile(tone(10, 8000), 70)  # longer than a single clip may be
    soundfile.write(tmp_path / "long.wav", sound, 8000, subtype="FLOAT")
    assert error_of(lambda: recordings.read(tmp_path / "long.wav")).endswith("cut it into sentences.")
    blocks = [samples for samples, _ in recordings.stream(tmp_path / "long.wav")]
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks), sound)


def test_a_source_needs_no_key_of_its_own():
    assert LongSource(**{**SOURCE}).keep_speaker is None
