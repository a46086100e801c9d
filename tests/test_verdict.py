"""The verdict on the published voice, from figures with known answers. Each fault is red in its own line."""

import json
import re

import made_up
import numpy as np
import pytest
from conftest import ROOT
from test_take_measures import shuffled

from voicetune import __main__ as command
from voicetune import terminal
from voicetune.data import espeak
from voicetune.data.clip import Clip
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.measures import bounds, pairs
from voicetune.measures.material import Material
from voicetune.measures.measurer import Measurer
from voicetune.measures.takes import Take
from voicetune.report import verdict

ALL = ["worth", "understood", "speaker", "codec", "transcripts"]
RECORDINGS = {"cer": 0.04, "secs": 0.97, "secs_floor": 0.5}
CODEC = {"cer": 0.05, "secs": 0.95, "vocoder": "griffin_lim"}
GOOD = {"cer": 0.08, "secs": 0.94, "mos": 3.2, "mel_ce": 2.0}


def change(before: float, after: float, half: float) -> dict:
    made = made_up.change(after - before, half)
    return made | {"from": before, "to": after}


def judged(voice=GOOD, base=None, recordings=RECORDINGS, codec=CODEC, half=0.01, published="phase2") -> dict:
    """The verdict's lines by kind. half: half the width of every interval between the base and the voice."""
    base = {"cer": 0.2, "secs": 0.85, "mos": 2.9, "mel_ce": 2.6} if base is None else base
    figures = {"recordings": recordings, "codec": codec, "base": base, "phase2": voice}
    pair = {name: change(base[name], voice[name], half) for name in set(base) & set(voice)}
    lines = verdict.judge(published, figures, {"base_phase2": pair})
    assert [line.kind for line in lines] == ALL
    return {line.kind: line for line in lines}


def red(lines: dict) -> list[str]:
    return [kind for kind, line in lines.items() if line.status == "bad"]


def test_a_good_voice_is_green_in_every_line():
    lines = judged()
    assert {line.status for line in lines.values()} == {"good"}
    assert lines["worth"].sentence.startswith(
        "Yes, CER and SECS and predicted MOS and mel CE better: phase 2 compared with the base"
    )
    assert all(not line.remedy for line in lines.values())


def test_a_measured_failure_is_red_in_four_lines():
    """Measured figures of a natural voice with an earlier tiny base. The report of that time had no warning."""
    lines = judged(
        {"cer": 0.893, "secs": 0.577, "mel_ce": 4.13}, {"cer": 0.277, "mel_ce": 4.9},
        {"cer": 0.043, "secs": 0.972, "secs_floor": 0.48}, {"cer": 0.457, "secs": 0.562}, half=0.1,
    )  # fmt: skip
    assert red(lines) == ["worth", "understood", "speaker", "codec"]
    assert "CER 0.893, the recordings 0.043. Most of the errors come from the codec" in lines["understood"].sentence
    assert "another voice: SECS 0.577; a stranger 0.480" in lines["speaker"].sentence
    assert lines["codec"].sentence.startswith("No: CER 0.457, the recordings 0.043; SECS 0.562")
    assert "Training cannot mend that with this base: take another base" in lines["codec"].remedy


def test_an_earlier_default_run_is_red_nowhere_and_green_only_in_part():
    lines = judged(
        {"cer": 0.216, "secs": 0.898, "mos": 2.51, "mel_ce": 1.630},
        {"cer": 0.234, "secs": 0.867, "mos": 2.32, "mel_ce": 2.363},
        {"cer": 0.072, "secs": 0.964, "secs_floor": 0.585}, {"cer": 0.081, "secs": 0.897}, half=0.03,
    )  # fmt: skip
    assert red(lines) == []
    assert (lines["understood"].answer, lines["understood"].status) == ("Only in part", "part")
    assert lines["speaker"].answer == "As far as the codec allows"
    assert lines["codec"].answer == "Most of it"
    assert "CER 0.234 to 0.216 (-0.018 [-0.048, +0.012], not shown to differ)" in lines["worth"].says
    assert "mel CE better" in lines["worth"].answer


# Faults


def test_a_bad_codec_is_named_as_the_cause():
    """Every model fails with such a codec. The verdict names the codec as the cause, and not the transcripts."""
    poor = {**GOOD, "cer": 0.5, "secs": 0.55}
    lines = judged(poor, poor, codec={"cer": 0.45, "secs": 0.56}, half=0.1)
    assert red(lines) == ["understood", "speaker", "codec"]
    assert "codec" in lines["understood"].remedy
    assert lines["speaker"].remedy == "Take another base."
    by_secs = judged({**GOOD, "secs": 0.6}, {**GOOD, "secs": 0.6}, codec={**CODEC, "secs": 0.6}, half=0.1)
    assert red(by_secs) == ["speaker", "codec"]
    by_cer = judged({**GOOD, "cer": 0.4}, {**GOOD, "cer": 0.4}, codec={**CODEC, "cer": 0.4}, half=0.1)
    assert red(by_cer) == ["understood", "codec"]


def test_a_training_that_raises_cer_is_not_worth_it():
    base = {"cer": 0.05, "secs": 0.93, "mos": 3.3, "mel_ce": 2.5}
    lines = judged({"cer": 0.6, "secs": 0.94, "mos": 3.3, "mel_ce": 2.1}, base, half=0.05)
    assert red(lines) == ["worth", "understood"]
    assert lines["worth"].answer == "No, it made the voice worse", "although the mel CE is better"
    assert "The base had 0.050" in lines["understood"].remedy
    little = judged({"cer": 0.12, "secs": 0.93, "mos": 3.3, "mel_ce": 2.5}, base, half=0.05)
    assert red(little) == ["worth"]
    worse = judged({**base, "mel_ce": 2.9}, base, half=0.05)
    assert red(worse) == ["worth"]


def test_wrong_transcripts_are_reported():
    everywhere = judged({**GOOD, "cer": 0.8}, {**GOOD, "cer": 0.2}, {**RECORDINGS, "cer": 0.85}, {**CODEC, "cer": 0.86})
    assert red(everywhere) == ["transcripts"]
    assert everywhere["understood"].answer == "Unknown"
    assert "CER" not in everywhere["worth"].says, "a CER against wrong transcripts is not used"
    assert "CER" not in everywhere["codec"].says
    assert "Check the transcripts" in everywhere["transcripts"].remedy
    training_alone = judged({**GOOD, "cer": 0.8}, {**GOOD, "cer": 0.08})
    assert red(training_alone) == ["worth", "understood"]
    assert "corrected transcripts" in training_alone["worth"].remedy


def test_a_better_voice_is_not_worth_it_yet_while_another_answer_is_no():
    """Better than the base in each figure, but under a stranger's SECS and hardly understood."""
    base = {"cer": 0.9, "secs": 0.3, "mos": 1.5, "mel_ce": 4.0}
    lines = judged({"cer": 0.6, "secs": 0.45, "mos": 2.0, "mel_ce": 3.0}, base, codec={**CODEC, "secs": 0.5})
    assert red(lines) == ["understood", "speaker", "codec"]
    assert lines["worth"].status == "part"
    assert lines["worth"].answer == "Not yet, though it is better than the base"
    assert lines["worth"].remedy == "An answer below is no: mend that first."
    codec_alone = judged(codec={**CODEC, "cer": 0.5})
    assert (codec_alone["worth"].status, red(codec_alone)) == ("part", ["codec"])


def test_another_speaker_is_red_in_the_line_about_the_speaker():
    assert red(judged({**GOOD, "secs": 0.6}, {**GOOD, "secs": 0.6}, half=0.1)) == ["speaker"]


@pytest.mark.slow
def test_shuffled_and_foreign_takes_are_red_in_the_right_lines(tmp_path):
    """Measure real takes: a good base, one with shuffled sound, and one in another voice."""
    texts = (
        "Which river flows through the city of Budapest?",
        "That is the correct answer, well done, my friend.",
        "Good evening, ladies and gentlemen, and welcome back.",
        "You are in the lead with one thousand points.",
    )
    clips = [Clip(str(i), f"{i}.flac", text, "en", "a", "e", 3.0, "test") for i, text in enumerate(texts)]
    sounds = [_spoken(text, "en-us+m1") for text in texts]

    class Known:
        def __init__(self) -> None:
            self.clips = clips

        def training_clips_of(self, _speaker: str) -> np.ndarray:
            return np.arange(len(clips))

    class Sounds(Dataset):
        codes = Known()

        def sound(self, clip: Clip) -> tuple[np.ndarray, int]:
            return sounds[int(clip.id)], espeak.SAMPLE_RATE

    measurer = Measurer(Material(Sounds(tmp_path), clips), "tiny.en", "cpu", ["intelligibility", "similarity"])

    def heard(said: list[np.ndarray]) -> list[dict]:
        return measurer.measure_all([Take(c, 0, s) for c, s in zip(clips, said, strict=True)], espeak.SAMPLE_RATE)

    rows = {
        "base": heard([_spoken(text, "en-us+m1", 160) for text in texts]),
        "ruined": heard([shuffled(sound) for sound in sounds]),
        "stranger": heard([_spoken(text, "en-us+f2") for text in texts]),
    }
    truth = bounds.figures(heard(sounds), 200, 1)
    floor = measurer.opened["similarity"].floor(clips)

    def of(name: str) -> dict:
        figures = {
            "recordings": {**truth, "secs_floor": floor},
            "codec": truth,
            "phase2": bounds.figures(rows[name], 200, 1),
        }
        changed = {"base_phase2": pairs.compare_takes(rows["base"], rows[name], 200, 1)}
        return {line.kind: line for line in verdict.judge("phase2", figures, changed)}

    good, ruined, stranger = of("base"), of("ruined"), of("stranger")
    assert red(good) == []
    assert {"worth", "understood"} <= set(red(ruined)) <= {"worth", "understood", "speaker"}
    assert "speaker" in red(stranger)
    assert not {"understood", "codec", "transcripts"} & set(red(stranger))


def _spoken(text: str, voice: str, rate: int = 150) -> np.ndarray:
    said = espeak.speak(text, voice, rate=rate)
    return (said / np.abs(said).max() * 0.9).astype(np.float32)


# A measure that was not taken gives no green line


def test_nothing_spoken_is_not_measured():
    lines = judged({"mel_ce": 2.0}, {"mel_ce": 2.6}, {}, {})
    assert {line.status for line in lines.values()} == {"unknown"}
    assert all("Not measured" in line.sentence for line in lines.values())
    assert red(judged({"mel_ce": 2.9}, {"mel_ce": 2.6}, {}, {})) == ["worth"], "a higher loss is reported even so"


def test_without_a_strangers_secs_the_speaker_is_not_judged():
    lines = judged(recordings={"cer": 0.04, "secs": 0.97})
    assert (lines["speaker"].status, lines["codec"].status) == ("unknown", "unknown")
    assert "there is no stranger" in lines["speaker"].sentence
    assert lines["understood"].status == "good"
    failing = judged(recordings={"cer": 0.04, "secs": 0.97}, codec={**CODEC, "cer": 0.5})
    assert red(failing) == ["codec"], "the codec's CER is judged even so"
    alike = judged(recordings={"cer": 0.04, "secs": 0.97, "secs_floor": 0.93})
    assert alike["speaker"].status == "unknown"
    assert "does not tell this speaker from a stranger" in alike["speaker"].sentence


def test_lines_without_their_measure_are_unknown():
    lines = judged({"cer": 0.08}, {"cer": 0.3}, {"cer": 0.04}, {"cer": 0.05})
    assert (lines["worth"].status, lines["understood"].status) == ("good", "good")
    assert (lines["speaker"].status, lines["codec"].status) == ("unknown", "unknown")


def test_differences_that_are_not_shown_are_no_yes():
    lines = judged(half=5)
    assert (lines["worth"].answer, lines["worth"].status) == ("Not shown by the measures of the speech", "part")
    base = {**GOOD, "mel_ce": 2.6}
    assert judged(GOOD, base, half=0.1)["worth"].answer == "Not shown by the measures of the speech", (
        "a lower loss is not enough"
    )


def test_a_published_base_is_not_compared_with_itself():
    figures = {"recordings": RECORDINGS, "codec": CODEC, "base": GOOD, "phase2": GOOD}
    worth, understood, *_ = verdict.judge("base", figures, {})
    assert (worth.status, understood.status) == ("unknown", "good")
    assert "the base, without training" in worth.sentence


def test_a_codec_row_that_the_base_voiced_is_no_upper_limit():
    poor = {"cer": 0.06, "secs": 0.7, "voiced_by_base": True}
    lines = judged(codec=poor)
    assert "voiced by the base" in lines["codec"].question
    assert lines["codec"].status == "good", "the published voice has a higher SECS"
    assert "SECS 0.700 (the published voice 0.940)" in lines["codec"].says
    assert red(judged(codec={**poor, "secs": 0.6, "voiced_by_base": False})) == ["codec"]


def test_a_figure_that_the_codec_lacks_is_not_taken_from_the_voice():
    lines = judged(codec={"voiced_by_base": True})
    assert lines["codec"].sentence == "Not measured: no SECS was taken."
    only_secs = judged(codec={"voiced_by_base": True, "secs": 0.95})
    assert only_secs["codec"].status == "good"
    assert "CER" not in only_secs["codec"].says


# The limits, the command, and close cases


def test_docs_list_the_same_limits():
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \| ([\d.]+) \| ([\d.]+) \|$", (ROOT / "docs/measuring.md").read_text(), re.M
    )
    limits = {name: (limit.of, limit.good, limit.bad) for name, limit in verdict.LIMITS.items()}
    assert {name: (of, float(good), float(bad)) for name, of, good, bad in rows} == limits


def test_the_verdict_command_prints_every_line(tmp_path, monkeypatch):
    monkeypatch.chdir(made_up.results(tmp_path / "repository"))
    with pytest.raises(UserError, match=r"voice\.json is missing; run `dvc repro`"):
        command.parser().parse_args(["verdict"]).run(None)
    made_up.write(tmp_path / "repository/metrics/voice.json", {"model": "phase2"})
    with terminal.console.capture() as printed:
        command.parser().parse_args(["verdict"]).run(None)
    said = printed.get()
    assert said.startswith(
        "Was the fine-tuning worth it? Not shown by the measures of the speech: phase 2 compared with the base"
    )
    assert said.count("?") == len(ALL)


def test_damaged_figures_are_one_sentence(tmp_path, monkeypatch):
    root = made_up.results(tmp_path / "repository")
    made_up.write(root / "metrics/voice.json", {"model": "phase2"})
    figures = root / "metrics/compare/figures.json"
    figures.write_text(json.dumps({"base": {}}))
    with pytest.raises(UserError, match=r"figures\.json has no 'recordings'"):
        verdict.read(root)


def test_a_lower_loss_does_not_outweigh_worse_speech():
    base = {"cer": 0.03, "secs": 0.9, "mos": 3.6, "mel_ce": 3.0}
    assert red(judged({**base, "secs": 0.6, "mel_ce": 2.2}, base)) == ["worth", "speaker"]
    assert red(judged({**base, "mos": 2.6, "mel_ce": 2.2}, base)) == ["worth"]
    little = judged({**base, "secs": 0.889, "mel_ce": 2.2}, base, half=0.005)
    assert (little["worth"].status, red(little)) == ("part", [])


def test_a_large_gain_in_secs_and_a_small_loss_in_cer_is_not_red():
    base = {"cer": 0.02, "secs": 0.55, "mos": 3.3, "mel_ce": 3.0}
    lines = judged({"cer": 0.045, "secs": 0.95, "mos": 3.3, "mel_ce": 2.2}, base, half=0.005)
    assert (lines["worth"].status, lines["understood"].status) == ("part", "good")
    assert red(lines) == []


def test_wide_intervals_give_too_few_sentences():
    lines = judged({**GOOD, "cer": 0.05, "cer_low": 0.0, "cer_high": 0.55, "secs_low": 0.4, "secs_high": 0.99})
    assert lines["understood"].answer == lines["speaker"].answer == "Too few sentences to tell"


def test_with_wrong_transcripts_better_secs_and_mos_are_no_yes():
    lines = judged(recordings={**RECORDINGS, "cer": 0.7})
    assert lines["worth"].status == "part"
    assert red(lines) == ["transcripts"]
