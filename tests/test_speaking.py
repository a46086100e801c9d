"""Speaking: splitting a text into parts, joining them with pauses, loudness, file formats, and scripts."""

import dataclasses
import hashlib
import io
import itertools
import json
import os
import re
import shutil
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from filelock import FileLock

from voicetune import __main__ as command
from voicetune import closure, files
from voicetune.commands import say
from voicetune.data import audio, formats
from voicetune.errors import UserError
from voicetune.params.decoding import Decoding
from voicetune.speech import say as speech
from voicetune.speech import script
from voicetune.speech.checking import Checks
from voicetune.speech.pace import Pace
from voicetune.speech.parts import split_text
from voicetune.speech.timing import timed
from voicetune.speech.voice import Line, Voice
from voicetune.xtts import folder
from voicetune.xtts.limits import CHARACTERS
from voicetune.xtts.speaking import abbreviations

RATE = 22050
SILENT = {"gpt_cond_latent": torch.zeros(1, 32, 4), "speaker_embedding": torch.zeros(1, 512, 1)}
SAMPLED = Decoding(temperature=0.5, top_k=50, top_p=0.8, repetition_penalty=1.0)
MANNER = script.Manner(SAMPLED, 1, -23.0, Checks(), code="of today")
LINES = ("Good evening.", "Which river flows through Budapest?", "No, I am sorry.")


@pytest.fixture(scope="module")
def voice(bundle_base) -> Voice:
    found = Voice(bundle_base)
    found.model.xtts.gpt.max_gen_mel_tokens = 60  # so that a line that does not stop takes little time
    return found


@pytest.fixture(scope="module")
def speaker(voice, dataset):
    """Two speakers, each conditioned on one clip."""
    clips = sorted((dataset / "clips").glob("*.flac"))
    return [voice.model.compute_speaker([soundfile.read(clip, dtype="float32")[0]]) for clip in clips[2:4]]


# Parts of a text


def parts_of(text: str, language: str = "en", limit: int | None = None) -> list[tuple[str, str]]:
    return [
        (p.text, p.ends_at)
        for p in split_text(text, limit or CHARACTERS[language], lambda _: True, abbreviations(language))
    ]


def test_a_text_is_split_at_the_ends_of_sentences():
    text = 'Dr. Kovacs paid 3.5 million to J. S. Bach in 1720. Was it much? He said: "no!" and left the room at once.'
    assert [t for t, _ in parts_of(text, limit=60)] == [
        "Dr. Kovacs paid 3.5 million to J. S. Bach in 1720.",
        "Was it much?",
        'He said: "no!" and left the room at once.',
    ]


def test_a_long_sentence_is_split_at_clauses_then_words_then_characters():
    found = parts_of("One thing, and another; " + "x" * 25 + " end of it", limit=20)
    assert [kind for _, kind in found[:2]] == ["clause", "clause"]
    assert "character" in [kind for _, kind in found]
    assert found[-1][1] == "paragraph"
    assert all(len(text) <= 20 for text, _ in found)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The show begins. " * 40),
        ("hu", "Jó estét kívánok, hölgyeim és uraim! Ki festette ezt a képet? " * 12),
        ("ja", "こんばんは。これは質問です、よく聞いてください。" * 12),
        ("hi", "यह एक प्रश्न है। ध्यान से सुनिए। " * 20),
        ("ar", "ما هي عاصمة فرنسا؟ استمع جيدا، من فضلك. " * 20),
        ("ko", "안녕하세요. 다음 질문입니다. " * 30),
    ],
)
def test_parts_keep_the_limit_and_every_letter(language, text):
    found = parts_of(text, language)
    assert len(found) > 1
    assert max(len(part) for part, _ in found) <= CHARACTERS[language]
    assert re.sub(r"\s", "", "".join(part for part, _ in found)) == re.sub(r"\s", "", text)


@pytest.mark.parametrize(
    "text",
    ["Mr. Smith, J. S. Bach and Dr. Lee met. It rained; they left. ", ".", '!"', ",", " -", " ", "x"],
    ids=["prose", "stops", "quotes", "commas", "dashes", "spaces", "letters"],
)
def test_a_text_of_100_000_characters_is_split_within_seconds(text):
    whole = "So: " + (text * 100_000)[:100_000] + "then"
    start = time.monotonic()
    found = parts_of(whole)
    assert time.monotonic() - start < 3
    assert "".join("".join(part.split()) for part, _ in found) == "".join(whole.split())


def test_a_part_also_fits_the_token_limit():
    found = split_text("word " * 30, 250, lambda part: len(part.split()) <= 7)
    assert [len(part.text.split()) for part in found] == [7, 7, 7, 7, 2]


def test_few_trials_find_how_much_fits():
    tried = []

    def fits(part: str) -> bool:
        tried.append(part)
        return len(part) <= 130

    found = split_text("9" * 4000, 250, fits)
    assert [len(part.text) for part in found] == [130] * 30 + [100]
    assert len(tried) < 20 * len(found), "each trial makes tokens of a part, which takes milliseconds"


def first_of(text: str) -> list[str]:
    return [p.text for p in split_text(text, 250, lambda _: True, abbreviations("en"), soon=True)]


@pytest.mark.parametrize(
    ("begin", "rest"),
    [
        ("Good evening, ladies and gentlemen.", "Welcome back to the show, and here is the first question."),
        ("Hello. Dr. Kovacs came to the show.", "He paid, he sat down, and then he said nothing for a whole hour."),
        (
            "When the clock struck nine in the old town,",
            "the doors of the house opened, and everybody went in at once.",
        ),
    ],
    ids=["sentence", "first sentence too short", "clause"],
)
def test_a_long_text_can_begin_with_a_short_part(begin, rest):
    text = f"{begin} {rest} It was very late, and it began to rain."
    found = first_of(text)
    assert found[0] == begin
    assert " ".join(found) == text
    assert parts_of(text)[0][0] != begin, "only where it is asked for"


@pytest.mark.parametrize(
    "text",
    ["Good evening, everybody. Welcome.", "No comma stands in this sentence " * 4, "Yes, " + "no " * 40],
    ids=["short", "no place to cut", "the clause is too short"],
)
def test_a_text_without_a_good_place_does_not_begin_with_a_short_part(text):
    assert first_of(text) == [part for part, _ in parts_of(text)]


# Sound


def tone(seconds: float, silence: float = 0.3) -> np.ndarray:
    outer = np.zeros(int(silence * RATE))
    return np.concatenate([outer, 0.1 * np.sin(np.arange(int(seconds * RATE)) * 0.05), outer]).astype(np.float32)


@pytest.mark.parametrize(("kind", "speed"), [("sentence", 1.0), ("clause", 1.0), ("paragraph", 2.0)])
def test_the_pause_between_parts_depends_on_their_ends_and_speed(kind, speed):
    joined = speech.join([tone(0.5, 0.3), tone(0.5, 0.1)], [kind, "paragraph"], RATE, speed)
    heard = np.flatnonzero(np.abs(joined) > 1e-3)
    pause = np.diff(heard).max() / RATE
    assert pause == pytest.approx(speech.PAUSES[kind] / speed, abs=0.05)  # trimming is exact to a frame


def test_a_line_with_an_empty_part_is_empty():
    assert speech.join([tone(0.5), np.zeros(0, np.float32)], ["sentence", "paragraph"], RATE).size == 0


def test_a_line_sounds_the_same_alone_and_among_others(voice, speaker):
    lines = [Line(text, "en") for text in LINES]
    together = list(speech.say(voice, lines, [speaker[0]] * 3, SAMPLED, 1))
    backwards = list(speech.say(voice, lines[::-1], [speaker[0]] * 3, SAMPLED, 1))[::-1]
    alone = [next(speech.say(voice, [line], [speaker[0]], SAMPLED, 1)) for line in lines]
    for a, b, c in zip(together, backwards, alone, strict=True):
        assert a.sound.tobytes() == b.sound.tobytes() == c.sound.tobytes()
        assert (a.found, a.left, a.draws) == (b.found, b.left, b.draws) == (c.found, c.left, c.draws)
    other = next(speech.say(voice, lines[:1], speaker[:1], SAMPLED, 2))
    assert other.sound.tobytes() != together[0].sound.tobytes()


def test_a_line_has_the_given_loudness_or_the_highest_peak(voice, speaker):
    for loudness in (-23.0, -30.0):
        (said,) = speech.say(voice, [Line(LINES[1], "en")], speaker[:1], SAMPLED, 1, loudness)
        sound = said.sound
        at_peak = np.abs(sound).max() >= speech.PEAK - 1e-3
        assert at_peak or audio.loudness_of(sound, voice.rate) == pytest.approx(loudness, abs=0.1)
    assert not at_peak


def test_a_faster_line_is_shorter_at_the_same_pitch(voice, speaker):
    assert voice.codes([], [], SAMPLED, 1) == []
    codes = voice.codes([Line(LINES[1], "en")], speaker[:1], SAMPLED, 1)[0]
    usual, fast = (voice.sound(codes, Line(LINES[1], "en", speed), speaker[0]) for speed in (1.0, 1.6))
    assert len(fast) == pytest.approx(len(usual) / 1.6, rel=0.02)
    centres = [np.average(np.arange(RATE // 2 + 1), weights=np.abs(np.fft.rfft(s, RATE)) ** 2) for s in (usual, fast)]
    assert centres[1] == pytest.approx(centres[0], rel=0.25)  # playing faster would make it 1.6 times as high


@pytest.mark.slow
def test_a_long_text_is_spoken_completely(voice, speaker):
    """The text has ten sentences, and the model can speak about three at once."""
    text = "Here comes the next question, and it is worth two hundred points. " * 10
    parts = speech.parts(voice, Line(text, "en"))
    assert len(parts) > 3
    (said,) = speech.say(voice, [Line(text, "en")], speaker[:1], SAMPLED, 1)
    assert len(said.sound) / voice.rate > 0.5 * len(parts)


@pytest.mark.parametrize("text", ["Hello.", "Yes.", "Thank you.", "Good evening."])
def test_a_text_of_one_or_two_words_is_not_cut_off(voice, speaker, text):
    """An earlier tiny base stopped after 0.1 s of "Hello.", with every seed."""
    for seed in (1, 2, 3):
        codes = voice.codes([Line(text, "en")], [speaker[0]], SAMPLED, seed)[0]
        assert len(voice.sound(codes, Line(text, "en"), speaker[0])) / voice.rate > 0.3


def test_timed_returns_positive_times_and_refuses_an_empty_text(voice, speaker):
    first, factor = timed(voice, Line(LINES[0], "en"), speaker[0], SAMPLED, 1)
    assert first > 0
    assert factor > 0
    with pytest.raises(UserError, match="nothing to say"):
        timed(voice, Line(" ", "en"), speaker[0], SAMPLED, 1)


@pytest.mark.parametrize("format", formats.FORMATS)
def test_every_format_is_deterministic_and_readable(format):
    sound = tone(1.2)
    data = formats.encode(sound, RATE, format)
    assert data == formats.encode(sound, RATE, format)
    read, rate = soundfile.read(io.BytesIO(data))
    assert rate == RATE
    assert len(read) == pytest.approx(len(sound), rel=0.1)
    assert np.abs(read).max() == pytest.approx(0.1, abs=0.02)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert file.format == ("MP3" if format == "mp3" else format.upper())


@pytest.mark.parametrize("format", formats.FORMATS)
def test_a_file_says_in_its_metadata_that_a_model_speaks(format):
    """FFmpeg reads what libsndfile wrote."""
    data = formats.encode(tone(1.2), RATE, format, formats.SYNTHETIC)
    assert data == formats.encode(tone(1.2), RATE, format, formats.SYNTHETIC)
    with av.open(io.BytesIO(data)) as file:
        found = {**file.metadata, **file.streams.audio[0].metadata}
        assert formats.SYNTHETIC in {key.lower(): value for key, value in found.items()}.values()
        samples = sum(frame.samples for frame in file.decode(audio=0))
    assert samples == pytest.approx(len(tone(1.2)), rel=0.1)


# Scripts


def make(voice, speaker, out: Path, *texts: str, names: tuple[str, ...] = (), manner=MANNER) -> script.Made:
    takes = [
        script.ScriptLine(i, f"{i:04d}.wav", Line(text, "en"), name)
        for i, (text, name) in enumerate(zip(texts, names or ["anna"] * len(texts), strict=True), start=1)
    ]
    speakers = dict(zip(("anna", "bela"), speaker, strict=True))

    def known(name):
        if name not in speakers:
            raise UserError(f"there is no speaker '{name}'.")
        return speakers[name]

    return script.make(voice, takes, known, out, manner)


def contents(out: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(out.iterdir())}


def test_two_runs_do_not_mix_their_files_in_one_folder(voice, speaker, tmp_path):
    with FileLock(tmp_path / script.LOCK), pytest.raises(UserError, match=r"^another `say --script` writes into "):
        make(voice, speaker, tmp_path, *LINES)
    assert make(voice, speaker, tmp_path, *LINES).anew == 3


def test_an_empty_cell_takes_the_default_speaker(tmp_path):
    (tmp_path / "a.csv").write_text("text, voice\nHello., anna\nGood evening.,  \n")
    takes, faults = script.read(tmp_path / "a.csv", Line("", "en"), "bela", "wav")
    assert ([take.speaker for take in takes], faults) == (["anna", "bela"], {})


def test_a_part_without_a_word_is_not_spoken(voice):
    text = "***\n\nThe first part ends here.\n\n---\n\nThe second begins.\n\n* * *"
    found = speech.parts(voice, Line(text, "en"))
    assert [(part.text, part.ends_at) for part in found] == [
        ("The first part ends here.", "paragraph"), ("The second begins.", "paragraph"),
    ]  # fmt: skip


def test_another_pace_makes_a_script_again(voice, speaker, tmp_path, monkeypatch):
    """The pace decides which draw is taken."""
    make(voice, speaker, tmp_path, *LINES)
    monkeypatch.setattr(voice, "pace", lambda _: Pace(begin=0.5, letter=0.5))
    assert make(voice, speaker, tmp_path, *LINES).anew == 3


def test_a_second_run_makes_only_what_changed(voice, speaker, tmp_path):
    assert make(voice, speaker, tmp_path, *LINES).anew == 3
    first = contents(tmp_path)
    assert set(first) == {"0001.wav", "0002.wav", "0003.wav", "manifest.json"}
    assert make(voice, speaker, tmp_path, *LINES).anew == 0
    assert contents(tmp_path) == first
    assert make(voice, speaker, tmp_path, LINES[0], "Well done.", LINES[2]).anew == 1
    changed = contents(tmp_path)
    assert {name for name in changed if changed[name] != first.get(name)} == {"0002.wav", "manifest.json"}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [row["text"] for row in manifest] == [LINES[0], "Well done.", LINES[2]]
    assert all(row["draws"] >= 1 and row["cut"] >= 0 and set(row["left"]) <= set(row["found"]) for row in manifest)
    assert [row["sha256"] for row in manifest] == [changed[row["file"]] for row in manifest]


def test_moved_lines_are_renamed_and_removed_lines_are_deleted(voice, speaker, tmp_path):
    make(voice, speaker, tmp_path, *LINES)
    first = contents(tmp_path)
    (tmp_path / "mine.txt").write_text("left alone")
    assert make(voice, speaker, tmp_path, LINES[2], LINES[0]).anew == 0
    after = contents(tmp_path)
    assert after["0001.wav"] == first["0003.wav"]
    assert after["0002.wav"] == first["0001.wav"]
    assert set(after) == {"0001.wav", "0002.wav", "manifest.json", "mine.txt"}


def test_a_damaged_or_lost_file_is_made_again(voice, speaker, tmp_path):
    make(voice, speaker, tmp_path, *LINES)
    first = contents(tmp_path)
    (tmp_path / "0001.wav").write_bytes(b"torn")
    (tmp_path / "0003.wav").unlink()
    assert make(voice, speaker, tmp_path, *LINES).anew == 2
    assert contents(tmp_path) == first


def test_an_interrupted_script_resumes(voice, speaker, tmp_path, monkeypatch):
    make(voice, speaker, tmp_path / "whole", *LINES)
    put, written = files.put, []

    def interrupted(path, data):
        if path.name == "0002.wav":
            raise KeyboardInterrupt
        written.append(path.name)
        put(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(files, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(voice, speaker, tmp_path / "cut", *LINES)
    assert "0001.wav" in written
    assert make(voice, speaker, tmp_path / "cut", *LINES).anew == 2
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


class Killed(BaseException):
    """Imitates SIGKILL: no code catches this exception."""


@pytest.fixture
def quick(monkeypatch):
    """Speak each line at once, as a tone whose length depends on its text."""
    monkeypatch.setattr(script, "parts", lambda voice, line: [])

    def say(voice, lines, *rest):
        return (speech.Said(tone(len(line.text) / 1000), [], [], 1, 0) for line in lines)

    monkeypatch.setattr(script, "say", say)


def dies(monkeypatch, at: int) -> None:
    """Kill a script at moment number `at`: before, during or after it writes a file or a row, or renames a file."""
    moments, put, note, replace = itertools.count(), files.put, script._note, os.replace

    def moment() -> None:
        if next(moments) == at:
            raise Killed

    def put_or_die(path, data):
        moment()
        put(path, data)
        moment()

    def note_or_die(out, row):
        moment()
        note(out, row)
        try:
            moment()
        except Killed:
            os.truncate(out / script.JOURNAL, (out / script.JOURNAL).stat().st_size - 9)
            raise
        moment()

    def replace_or_die(old, new):
        moment()
        replace(old, new)

    monkeypatch.setattr(os, "replace", replace_or_die)
    monkeypatch.setattr(files, "put", put_or_die)
    monkeypatch.setattr(script, "_note", note_or_die)


def test_a_script_killed_at_any_moment_resumes_and_makes_nothing_twice(voice, speaker, tmp_path, quick, monkeypatch):
    """In the second script, one line is removed, one moved, one new, one changed and one unchanged."""
    first, second = ("Stays.", "Goes now.", "Becomes another.", "Moves."), ("Stays.", "Moves.", "New one.", "Is new.")
    make(voice, speaker, tmp_path / "before", *first)
    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    make(voice, speaker, tmp_path / "whole", *second)
    wanted = {row["key"] for row in script._manifest(tmp_path / "whole").values()}
    for at in itertools.count():
        out = tmp_path / f"killed{at}"
        shutil.copytree(tmp_path / "before", out)
        with monkeypatch.context() as patched:
            dies(patched, at)
            try:
                make(voice, speaker, out, *second)
                break
            except Killed:
                pass
        rows = script._manifest(out).values()
        there = {row["key"] for row in rows if row["sha256"] in contents(out).values()}
        assert {path.name for path in out.glob("[0-9]*")} <= {row["file"] for row in rows}
        assert make(voice, speaker, out, *second).anew == len(wanted - there)
        assert contents(out) == contents(tmp_path / "whole")
    assert at > 15


def test_a_script_of_many_lines_writes_its_manifest_once(voice, speaker, tmp_path, quick, monkeypatch):
    put, written = files.put, []
    monkeypatch.setattr(files, "put", lambda path, data: (written.append(path.name), put(path, data)))
    made = make(voice, speaker, tmp_path, *(f"Line {number}." for number in range(300)))
    assert made.anew == 300
    assert written.count("manifest.json") == 1


def test_a_model_folder_whose_name_is_not_utf_8_works(voice, speaker, tmp_path, quick, monkeypatch):
    folder = tmp_path / os.fsdecode(b"\xe1")
    folder.symlink_to(voice.path.resolve())
    monkeypatch.setattr(voice, "path", folder)
    assert make(voice, speaker, tmp_path / "said", *LINES).anew == 3
    assert script._manifest(tmp_path / "said")["0001.wav"]["model"] == "\\udce1"
    assert make(voice, speaker, tmp_path / "said", *LINES).anew == 0


def test_changed_code_speaks_every_line_again_and_unchanged_code_none(voice, speaker, tmp_path, quick):
    assert make(voice, speaker, tmp_path, *LINES).anew == 3
    assert make(voice, speaker, tmp_path, *LINES).anew == 0
    changed = dataclasses.replace(MANNER, code="of tomorrow")
    assert make(voice, speaker, tmp_path, *LINES, manner=changed).anew == 3
    assert make(voice, speaker, tmp_path, *LINES, manner=changed).anew == 0


@pytest.mark.parametrize("name", ["model.pth", *folder.SHARED])
def test_a_changed_file_of_the_model_speaks_every_line_again(voice, speaker, tmp_path, quick, monkeypatch, name):
    copied = shutil.copytree(voice.path, tmp_path / "copied")
    monkeypatch.setattr(voice, "path", copied)
    assert make(voice, speaker, tmp_path / "said", *LINES).anew == 3
    assert make(voice, speaker, tmp_path / "said", *LINES).anew == 0
    with (copied / name).open("ab") as file:
        file.write(b" ")
    assert make(voice, speaker, tmp_path / "said", *LINES).anew == 3


def test_a_line_that_cannot_be_spoken_is_named_and_the_others_are_made(voice, speaker, tmp_path):
    made = make(voice, speaker, tmp_path, LINES[0], "Здравствуйте!", LINES[2], names=("anna", "anna", "nobody"))
    assert set(made.faults) == {2, 3}
    assert "does not know" in made.faults[2]
    assert "nobody" in made.faults[3]
    assert [row["file"] for row in made.rows] == ["0001.wav"]


def test_a_file_that_no_script_made_is_not_overwritten(voice, speaker, tmp_path):
    (tmp_path / "0002.wav").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"0002\.wav was not made by a script"):
        make(voice, speaker, tmp_path, *LINES)
    assert (tmp_path / "0002.wav").read_bytes() == b"mine"


def test_a_table_sets_voice_language_and_speed_of_each_line(tmp_path):
    path = tmp_path / "lines.csv"
    path.write_text(
        'text,speed,voice\nHello there.,1.5,anna\n"Yes, of course.",,\nToo fast,9,\n,1,\n', encoding="utf-8-sig"
    )
    takes, faults = script.read(path, Line("", "hu", 0.8), "bela", "mp3")
    assert [(t.file, t.line, t.speaker) for t in takes] == [
        ("0001.mp3", Line("Hello there.", "hu", 1.5), "anna"),
        ("0002.mp3", Line("Yes, of course.", "hu", 0.8), "bela"),
    ]
    assert set(faults) == {4, 5}, "as an editor numbers the lines: the header is the first"
    assert "0.5 to 2" in faults[4]
    path = tmp_path / "lines.txt"
    path.write_text("One.\n\n  Two.  \n")
    takes, faults = script.read(path, Line("", "en"), None, "wav")
    assert [(t.number, t.file, t.line.text) for t in takes] == [(1, "0001.wav", "One."), (3, "0002.wav", "Two.")]
    assert not faults


def test_a_fault_has_the_line_at_which_its_row_begins_in_the_file(tmp_path):
    path = tmp_path / "lines.csv"
    path.write_text('text,language\r\n\r\n"Two\r\nlines.",en\r\n"Two\nmore.",english\r\nHello.,EN\r\n', newline="")
    takes, faults = script.read(path, Line("", "en"), None, "wav")
    assert [(t.number, t.file, t.line.text) for t in takes] == [(3, "0001.wav", "Two\nlines.")]
    assert set(faults) == {5, 7}
    assert faults[5].startswith("'english' is no language; write a language's code of two or three small letters")


def test_a_language_that_the_model_lacks_is_named_with_those_it_speaks(voice, speaker, tmp_path):
    takes = [script.ScriptLine(7, "0001.wav", Line("Guten Abend.", "de"), None)]
    made = script.make(voice, takes, lambda _name: speaker[0], tmp_path, MANNER)
    assert made.faults == {7: f"the model {voice.path} does not speak 'de'; it speaks en."}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "has no lines"),
        ("a.csv", b"words\nhello\n", "its columns are text"),
        ("a.csv", b'text\n"open\n', "correct its quotes"),
        ("a.txt", b"\xff\xfe\x00", "UTF-8"),
        ("a.docx", b"x", "should end in"),
    ],
)
def test_the_error_for_an_unreadable_script_names_the_file(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said) as raised:
        script.read(tmp_path / name, Line("", "en"), None, "wav")
    assert name in str(raised.value)


# The command


def test_the_say_command_speaks_a_line_and_a_script(bundle_base, dataset, tmp_path, capsys):
    reference = sorted((dataset / "clips").glob("*.flac"))[2]
    usual = ["--model", str(bundle_base), "--reference", str(reference), "--device", "cpu"]

    def run(*arguments: str) -> None:
        given = command.parser().parse_args(["say", *arguments, *usual])
        given.run(given)

    out = tmp_path / "said.mp3"
    run("Good evening.", "--out", str(out))
    before = out.read_bytes()
    run("Good evening.", "--out", str(out))
    assert out.read_bytes() == before
    assert soundfile.info(out).format == "MP3"
    lines = tmp_path / "lines.txt"
    lines.write_text("Good evening.\nЩ\nWell done.\n")
    with pytest.raises(UserError, match="1 of the script's lines"):
        run("--script", str(lines), "--out", str(tmp_path / "said"), "--format", "ogg")
    assert "lines.txt, line 2:" in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "said").glob("*.ogg")) == ["0001.ogg", "0003.ogg"]
    for wrong, said in (
        (["x", "--out", str(tmp_path / "a.aiff")], "should end in"),
        (["x", "--speed", "3"], "speed"),
        ([" "], "nothing to say"),
        ([], "either a text"),
        (["x", "--out", str(tmp_path / "no/a.wav")], "does not exist"),
    ):
        with pytest.raises(UserError, match=said):
            run(*wrong)


def test_the_command_says_a_script_again_if_the_code_that_speaks_has_changed(
    bundle_base, dataset, tmp_path, quick, monkeypatch, capsys
):
    monkeypatch.setattr(say, "_speakers", lambda *_: lambda _name: SILENT)
    (tmp_path / "lines.txt").write_text("Good evening.\nWell done.\n")
    usual = ["--script", str(tmp_path / "lines.txt"), "--out", str(tmp_path / "said"), "--model", str(bundle_base)]
    shutil.copytree(closure.SRC, tmp_path / "src")
    monkeypatch.setattr(closure, "SRC", tmp_path / "src")

    def anew(changed: str = "") -> str:
        if changed:
            with (tmp_path / "src/voicetune" / changed).open("a") as file:
                file.write("# changed\n")
        given = command.parser().parse_args(["say", *usual])
        given.run(given)
        return re.search(r"(\d+) new", capsys.readouterr().out)[1]

    assert anew() == "2"
    assert anew() == "0"
    assert anew("xtts/decode.py") == "2", "it draws the codes"
    assert anew("data/formats.py") == "2", "it encodes the sound"
    assert anew("measures/intervals.py") == "0", "it has no part in speaking"
