"""Each part is checked before it is heard, drawn again if it has a fault, and cut where it runs on."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from conftest import ROOT

from voicetune.commands import say
from voicetune.data import recordings
from voicetune.data.clip import Clip
from voicetune.errors import UserError
from voicetune.params.decoding import Decoding
from voicetune.speech import checking, drawing, faults, pace
from voicetune.speech import say as speech
from voicetune.speech.checking import Checked, Checker, Checks
from voicetune.speech.voice import Line

RATE = 24000
WAVS = ROOT / "data/raw/questions/wavs"
TEXT = dict(line.split("|") for line in (WAVS.parent / "metadata.csv").read_text(encoding="utf-8").splitlines())
SETTINGS = Decoding(temperature=0.5, top_k=50, top_p=0.8, repetition_penalty=1.0)


def noise(seconds: float, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def sound(*pieces: float) -> np.ndarray:
    """Noise and silence in turn, each of so many seconds, beginning with noise."""
    return np.concatenate([noise(seconds, 0.1 * (1 - i % 2)) for i, seconds in enumerate(pieces)])


# How long a text takes


def clips(letter: float, begin: float, count: int = 30) -> list[Clip]:
    texts = [("anna " * (1 + i)).strip() for i in range(count)]
    return [
        Clip(f"c{i}", "c.flac", text, "en", "s", "s", begin + letter * 4 * (1 + i), "train")
        for i, text in enumerate(texts)
    ]


def test_the_pace_of_clips_is_found_again():
    found = pace.fit(clips(0.06, 0.3), "en")
    assert (found.letter, found.begin) == (0.06, 0.3)
    assert found.seconds("Anna, anna!") == pytest.approx(0.3 + 0.06 * 8)
    assert found.seconds("1984") == pytest.approx(0.3 + 0.06 * 20), "nineteen eighty-four"


def test_the_usual_pace_is_taken_where_none_can_be_fitted():
    for few in ([], clips(0.06, 0.3, 9), clips(-0.001, 9.0), clips(0.06, -0.2)):
        assert pace.fit(few, "en") == pace.usual("en")
    assert pace.fit(clips(0.06, 0.3), "hu") == pace.usual("hu")
    assert pace.usual("zh-cn").letter > 2 * pace.usual("en").letter


def test_the_default_recordings_have_the_length_that_their_pace_foretells():
    """Half a second more than 1.7 times is far from each of them, and so is 0.4 times."""
    seconds = {id: len(samples) / rate for id, (samples, rate) in
               ((id, recordings.read(WAVS / f"{id}.opus")) for id in list(TEXT)[:60])}  # fmt: skip
    own = [Clip(id, "x", TEXT[id], "en", "s", "s", seconds[id], "train") for id in seconds]
    found = pace.fit(own, "en")
    ratios = [clip.seconds / found.seconds(clip.text) for clip in own]
    assert 0.7 < min(ratios) < max(ratios) < 1.35


# Faults


def test_a_run_on_is_found_and_ends_at_the_pause_that_is_nearest_to_the_expected_end():
    babble = faults.find_loud(sound(0.8, 0.5, 0.6, 0.4, 1.2), RATE)
    start, end = faults.bounds(babble)
    assert faults.too_long(end - start, 0.9)
    assert not faults.too_long(2.0, 0.9)
    assert faults.end_before(babble, 0.9) == pytest.approx(0.8, abs=0.03)
    assert faults.end_before(babble, 1.8) == pytest.approx(1.9, abs=0.03)
    short, early = (faults.find_loud(sound(*pieces), RATE) for pieces in ((0.8, 0.2, 2.0), (0.2, 0.5, 2.0)))
    assert faults.end_before(short, 0.9) is None, "the pause is too short to be the end"
    assert faults.end_before(early, 0.9) is None, "the pause is too early"


def test_loops_of_codes_are_found_and_short_repeats_are_not():
    rng = np.random.default_rng(0)
    speech_ = rng.integers(0, 1024, 200).tolist()
    assert not faults.loops(speech_)
    assert not faults.loops([])
    assert not faults.loops([7] * 24)
    assert faults.loops([*speech_, *[7] * 25])
    assert faults.loops([*speech_, *[1, 2, 3] * 9])
    assert not faults.loops([*speech_, *[1, 2, 3] * 7, *speech_])


def test_a_sound_of_almost_nothing_is_found():
    for nothing in (np.zeros(0, np.float32), np.zeros(RATE, np.float32), noise(0.1), noise(1.0, 1e-4)):
        assert faults.nearly_silent(nothing, faults.find_loud(nothing, RATE))
    assert not faults.nearly_silent(noise(0.2), faults.find_loud(noise(0.2), RATE))


def test_words_are_checked_by_the_recogniser_if_it_is_asked():
    samples, rate = recordings.read(WAVS / "q001.opus")
    voice = Voice([samples], rate, pace.usual("en"))
    other = next(text for id, text in TEXT.items() if id == "q009")
    reader, none = (Checker(voice, Checks(4, asr), {"en"}) for asr in ("tiny.en", None))
    right = reader.check(torch.arange(50), samples, Line(TEXT["q001"], "en"))
    assert right.faults == ()
    wrong = reader.check(torch.arange(50), samples, Line(other, "en"))
    assert "is not understood" in wrong.faults
    assert wrong.score > right.score + 1
    assert none.check(torch.arange(50), samples, Line(TEXT["q001"], "en")).faults == ()
    with pytest.raises(UserError, match=r"--asr is 'tiny.en', which reads English only, but the language is 'hu'"):
        Checker(voice, Checks(4, "tiny.en", "--asr"), {"en", "hu"})


def test_say_tells_what_the_checks_found_and_that_they_found_nothing():
    fine = speech.Said(noise(1.0), found=[], left=[], draws=1, cut=0)
    odd = speech.Said(noise(1.0), found=["runs on", "is clipped", "runs on"], left=["is clipped"], draws=5, cut=1)
    assert say._describe_checks(fine, Checks()) == "the checks found no fault in the sound"
    assert say._describe_checks(fine, Checks(4, "tiny.en")) == "the checks found no fault in the sound and the words"
    assert say._describe_checks(odd, Checks()) == "it runs on, is clipped: drawn 5 times, which is clipped"


# Drawing again


@dataclass
class Model:
    def stopped(self, codes: torch.Tensor) -> bool:
        return len(codes) < 1000


class Voice:
    """A voice whose draws are given: the first draw of a part, the second and so on."""

    def __init__(self, draws: list[np.ndarray], rate: int = RATE, own: pace.Pace | None = None):
        self.draws, self.rate, self.own = draws, rate, own or pace.Pace(begin=0.5, letter=0.1)
        self.model, self.device, self.asked = Model(), torch.device("cpu"), []

    def pace(self, language: str) -> pace.Pace:
        return self.own

    def codes(self, lines, speakers, settings, seeds):
        self.asked.append(list(seeds))
        order = {seed: number for number, seed in enumerate(dict.fromkeys(s for part in self.asked for s in part))}
        return [torch.full((1 + order[seed],), order[seed]) for seed in seeds]

    def workers(self, most: int | None) -> int:
        return 2

    def sound(self, codes, line, speaker):
        return self.draws[int(codes[0])]


GOOD, BABBLE, EMPTY = sound(1.0), sound(1.0, 0.5, 2.0), np.zeros(2400, np.float32)


def draw(voice: Voice, tries: int = 4, count: int = 1) -> list[drawing.Drawn]:
    parts = [Line("anna a", "en")] * count  # a second
    return drawing.draw(voice, parts, [{}] * count, SETTINGS, 1, Checker(voice, Checks(tries), {"en"}), tries)


def test_a_draw_without_a_fault_is_taken_at_once():
    voice = Voice([GOOD])
    (found,) = draw(voice)
    assert found.sound is GOOD
    assert (found.found, found.left, found.draws, found.cut) == ((), (), 1, False)
    assert len(voice.asked) == 1


def test_what_has_a_fault_is_drawn_again_in_one_batch_and_the_best_is_taken():
    voice = Voice([EMPTY, BABBLE, GOOD, BABBLE])
    (found,) = draw(voice)
    assert found.sound is GOOD
    assert (found.found, found.left, found.draws) == (("says nothing", "ends early"), (), 4)
    assert [len(part) for part in voice.asked] == [1, 3]
    assert len({seed for part in voice.asked for seed in part}) == 4, "each draw has its own seed"


def test_one_try_draws_once_and_still_says_what_is_wrong():
    voice = Voice([EMPTY])
    (found,) = draw(voice, tries=1)
    assert (found.left, found.draws) == (("says nothing", "ends early"), 1)


def test_what_runs_on_in_every_draw_is_cut_at_the_pause():
    (found,) = draw(Voice([BABBLE] * 4))
    assert len(found.sound) / RATE == pytest.approx(1.0, abs=0.05)
    assert np.array_equal(found.sound[: RATE - 500], BABBLE[: RATE - 500])
    assert found.sound[-1] == 0, "it fades out"
    assert (found.found, found.left, found.draws, found.cut) == (("runs on",), (), 4, True)


def test_a_run_on_without_a_pause_stays_and_is_named():
    (found,) = draw(Voice([sound(4.0)] * 4))
    assert (found.left, found.cut) == (("runs on",), False)
    assert len(found.sound) == 4 * RATE


def test_a_line_names_the_faults_of_all_its_parts():
    parts = [
        drawing.Drawn(GOOD, ("runs on",), (), 4, True),
        drawing.Drawn(GOOD, ("is clipped",), ("is clipped",), 4, False),
    ]
    said = speech._said(GOOD, parts)
    assert (said.found, said.left, said.draws, said.cut) == (["runs on", "is clipped"], ["is clipped"], 8, 1)


def test_the_score_prefers_fewer_faults_and_then_the_expected_length():
    checker = Checker(Voice([]), Checks(), ())
    line, codes = Line("anna a", "en"), torch.arange(30)
    scores = [checker.check(codes, one, line).score for one in (GOOD, sound(1.3), sound(0.5), BABBLE, EMPTY)]
    assert scores == sorted(scores)
    assert isinstance(checker.check(codes, GOOD, line), Checked)
    assert checking.RUNS_ON in checker.check(codes, BABBLE, line).faults
