"""The measures of spoken sentences. Each kind of damaged speech changes the measure that should detect it."""

import librosa
import numpy as np
import pytest
import soundfile
import soxr
import torch

from voicetune.data import espeak
from voicetune.data.clip import Clip
from voicetune.data.codes import Codes
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.measures import bounds, catalogue, prosody, table, take_measures, takes
from voicetune.measures.catalogue.intelligibility import MEASURE as INTELLIGIBILITY
from voicetune.measures.catalogue.mos import MEASURE as MOS
from voicetune.measures.material import Material
from voicetune.measures.measurer import Measurer
from voicetune.measures.naturalness import MosPredictor
from voicetune.measures.takes import Take
from voicetune.recognition.intelligibility import read, word_errors
from voicetune.recognition.recogniser import Recogniser
from voicetune.speech import faults
from voicetune.xtts import folder
from voicetune.xtts.own_encoder import OwnEncoder

TEXT = "Which river flows through the city of Budapest, and where does it end?"
CLIP = Clip("c", "c.flac", TEXT, "en", "quizmaster", "espeak", 4.0, "test")
RATE = espeak.SAMPLE_RATE


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    said = espeak.speak(TEXT, "en-us+m1")
    return (said / np.abs(said).max() * 0.9).astype(np.float32)


def shuffled(sound: np.ndarray, size: int = RATE // 10) -> np.ndarray:
    """Put the tenths of a second of a sound into another order. It sounds like shuffled codes."""
    parts = [sound[i : i + size] for i in range(0, len(sound) - size, size)]
    return np.concatenate([parts[i] for i in np.random.default_rng(1).permutation(len(parts))])


# Prosody, on sounds that were changed by a known amount


def test_a_quieter_copy_of_a_sound_has_the_same_prosody(sound):
    found = prosody.compare(sound, RATE, np.concatenate([np.zeros(RATE // 2), sound * 0.3]), RATE)
    assert found.f0_rmse_cents == pytest.approx(0, abs=25)  # the frames begin at other samples
    assert found.mcd_db == pytest.approx(0, abs=1.5)
    assert found.duration_ratio == pytest.approx(1, abs=0.02)
    assert prosody.compare(sound, RATE, sound, RATE).mcd_db == pytest.approx(0, abs=1e-4)


def test_a_shifted_pitch_is_measured_in_cents(sound):
    faster = soxr.resample(sound, RATE, RATE / 1.06)  # about a semitone (100.9 cents) higher, and shorter
    found = prosody.compare(sound, RATE, faster, RATE)
    assert found.f0_rmse_cents == pytest.approx(1200 * np.log2(1.06), abs=12)
    assert found.duration_ratio == pytest.approx(1 / 1.06, abs=0.01)


def test_a_slowed_sentence_changes_duration_and_not_pitch(sound):
    slowed = librosa.effects.time_stretch(sound, rate=0.7)
    found = prosody.compare(sound, RATE, slowed, RATE)
    assert found.duration_ratio == pytest.approx(1 / 0.7, abs=0.05)
    assert found.f0_rmse_cents < 60


def test_shuffling_raises_mcd_more_than_stretching(sound):
    stretched = prosody.compare(sound, RATE, librosa.effects.time_stretch(sound, rate=0.9), RATE)
    assert stretched.mcd_db < prosody.compare(sound, RATE, shuffled(sound), RATE).mcd_db - 1


def test_silence_has_no_prosody(sound):
    assert prosody.compare(sound, RATE, np.zeros(RATE, np.float32), RATE) == prosody.Prosody()
    assert prosody.compare(sound, RATE, np.zeros(0, np.float32), RATE) == prosody.Prosody()


# Robustness


@pytest.mark.parametrize(
    ("heard", "skips", "repeats"),
    [
        (TEXT, False, False),
        ("Which river flows through the city of Budapest and where does it", False, False),  # one word is missing
        ("Which river flows through the city of Budapest", True, False),  # the ending is missing
        ("Which river flows and where does it end", True, False),
        ("Which river flows through the city of Budapest of Budapest and where does it end", False, True),
        ("Which river which river flows through the city of Budapest and where does it end", False, True),
        ("Witch liver blows true the sitting of Bude pest and wear thus it bend", False, False),  # complete
        ("", True, False),
    ],
)
def test_skips_and_repeats(heard, skips, repeats):
    assert faults.skipped(TEXT, heard, "en") is skips
    assert faults.repeated(TEXT, heard, "en") is repeats


def test_long_silences(sound):
    half = len(sound) // 2
    cut = [sound[:half], np.zeros(int(1.2 * RATE), np.float32), sound[half:]]

    def is_found(samples: np.ndarray) -> bool:
        return faults.long_silence(faults.find_loud(samples, RATE))

    assert not is_found(sound)
    assert is_found(np.concatenate(cut))
    assert not is_found(np.concatenate([cut[1], sound, cut[1]])), "silence outside is ignored"
    assert not is_found(np.zeros(RATE, np.float32))


@pytest.mark.parametrize("level", [0.99, 0.5])
def test_clipping(sound, level):
    assert not faults.clipped(sound)
    assert faults.clipped(np.clip(3 * sound, -level, level))
    assert not faults.clipped(np.zeros(100))


# Predicted MOS and the recogniser


def test_predicted_mos_falls_with_noise_and_clipping(sound):
    predictor = MosPredictor()
    clean = predictor.predict(sound, RATE)
    noise = np.random.default_rng(1).standard_normal(len(sound)).astype(np.float32)
    assert clean == predictor.predict(sound, RATE)
    assert all(1 <= value <= 5 for value in clean)
    assert predictor.predict(sound + 0.1 * noise, RATE)[0] < clean[0] - 0.3
    assert predictor.predict(np.clip(20 * sound, -0.5, 0.5), RATE)[0] < clean[0]
    assert predictor.predict(np.zeros(RATE, np.float32), RATE) is None


def test_shuffled_and_cut_speech_is_read_wrongly(sound):
    recogniser = Recogniser("tiny.en", "en", "cpu")
    whole, mixed, cut = (
        read(recogniser, CLIP, x, RATE) for x in (sound, shuffled(sound), sound[: int(0.5 * len(sound))])
    )
    assert whole.character_errors / whole.characters < 0.2
    assert mixed.character_errors / mixed.characters > 0.5
    assert faults.skipped(TEXT, cut.transcript, "en")
    assert not faults.skipped(TEXT, whole.transcript, "en")


def test_word_errors():
    assert word_errors("One, two, three.", "one too three four", "en") == (2, 3)
    assert word_errors("", "a b", "en") == (2, 0)


# The table and its figures


def test_figures_of_a_table_equal_those_computed_by_hand(tmp_path):
    said = [Take(CLIP, number, np.full(100, 0.1, np.float32), True) for number in (0, 1)]
    rows = [
        dict.fromkeys(table.COLUMNS)
        | {"id": "c", "take": take.number, "characters": 10, "character_errors": errors, "stopped": stopped}
        | {"secs": 0.5 if take.number == 0 else None, "text": TEXT, "heard": 'a, "quoted" text'}
        for take, errors, stopped in zip(said, (1, 4), (1, 0), strict=True)
    ]
    take_measures.write(tmp_path, rows, {"data_sha256": "d"})
    assert {path.name for path in tmp_path.iterdir()} == {"takes.csv", "facts.json"}
    again = table.read(tmp_path / "takes.csv")
    assert again[1]["heard"] == 'a, "quoted" text'
    found = bounds.figures(again, 200, 1)
    assert found["cer"] == pytest.approx(5 / 20)
    assert found["secs"] == 0.5
    assert found["runaways"] == found["mishaps"] == 0.5
    assert found["runaways_low"] < 0.1 < 0.9 < found["runaways_high"], "the interval over one sentence is wide"
    assert "mos" not in found
    assert take_measures.figures(tmp_path) == {"cer": pytest.approx(5 / 20), "secs": 0.5, "mishaps": 0.5}
    assert take_measures.summary(tmp_path) == "CER 0.250, SECS 0.500"
    better = [row | {"character_errors": 0} for row in again]
    assert bounds.difference(again, better, INTELLIGIBILITY.figures[0], 200, 1).mean == pytest.approx(-0.25)
    assert bounds.difference(again, better, MOS.figures[0], 200, 1) is None


def test_saved_takes_are_read_back_unchanged(tmp_path, dataset):
    """The measures use what the files hold: 16 bits, and one file for each take."""
    codes = Codes(dataset / "codes")
    a, b = (codes.clips[i] for i in codes.test)
    sound = np.linspace(-1.2, 1.2, 999, dtype=np.float32)
    said = [Take(a, 0, sound, True), Take(b, 0, np.zeros(0, np.float32), False), Take(a, 1, -sound / 2, False)]
    takes.save(tmp_path, said, 24000)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.flac"))
    assert files == [f"{a.id}.flac", f"{b.id}.flac", f"take2/{a.id}.flac"]
    again, rate = takes.read(tmp_path, codes)
    assert rate == 24000
    assert [(take.clip, take.number, take.stopped) for take in again] == [(a, 0, True), (b, 0, False), (a, 1, False)]
    assert again[1].sound.size == 0, "an empty take is read back as empty"
    assert np.abs(again[0].sound - np.clip(sound, -1, 1)).max() < 1e-4
    assert np.abs(again[2].sound + sound / 2).max() < 1e-4
    takes.save(tmp_path / "empty", [], 24000)
    assert takes.read(tmp_path / "empty", codes) == ([], 0)
    takes.save(tmp_path / "recorded", takes.recorded(Dataset(dataset), codes.test), RATE)
    recorded, rate = takes.read(tmp_path / "recorded", codes)
    assert rate == RATE
    assert [take.stopped for take in recorded] == [None, None]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "takes.csv").unlink(), "takes.csv is missing; run `dvc repro -s -f speak"),
        (lambda folder: (folder / "c.flac").unlink(), "c.flac is missing or is not an audio file"),
        (lambda folder: (folder / "c.flac").write_bytes(b"?"), "c.flac is missing or is not an audio file"),
        (
            lambda folder: (folder / "takes.csv").write_text("id,take\nc,x\n"),
            "takes.csv should have the columns id, take, file",
        ),
    ],
)
def test_takes_that_cannot_be_read_are_named(tmp_path, dataset, harm, said):
    codes = Codes(dataset / "codes")
    codes.clips[0] = CLIP
    takes.save(tmp_path, [Take(CLIP, 0, np.zeros(10, np.float32), True)], RATE)
    assert len(takes.read(tmp_path, codes)[0]) == 1
    harm(tmp_path)
    with pytest.raises(UserError, match=said):
        takes.read(tmp_path, codes)


def test_takes_of_another_dataset_are_refused(tmp_path, dataset):
    takes.save(tmp_path, [Take(CLIP, 0, np.zeros(10, np.float32), True)], RATE)
    with pytest.raises(UserError, match="which the dataset lacks; run `dvc repro -s -f speak ceiling`"):
        takes.read(tmp_path, Codes(dataset / "codes"))


# Damaged speech, measured with all measures at once


def measured(codes: Codes) -> np.ndarray:
    """The four clips that are not for training."""
    return np.concatenate([codes.validation, codes.test])


@pytest.fixture(scope="module")
def measurer(dataset) -> Measurer:
    codes = Codes(dataset / "codes")
    said = [codes.clips[i] for i in measured(codes)]
    return Measurer(Material(Dataset(dataset), said), "tiny.en", "cpu", catalogue.NAMES)


def heard_of(measurer: Measurer, dataset, spoil) -> dict[str, float]:
    """Figures of damaged validation and test recordings, measured as if a model had spoken them."""
    codes = Codes(dataset / "codes")
    rows = []
    for i in measured(codes):
        recording, rate = soundfile.read(dataset / "clips" / codes.clips[i].file, dtype="float32")
        rows.append(measurer.measure(Take(codes.clips[i], 0, spoil(recording), stopped=True), rate))
    return bounds.figures(rows, 100, 1)


def other_voice(sound: np.ndarray) -> np.ndarray:
    return soxr.resample(sound, 1.35 * RATE, RATE).astype(np.float32)  # five semitones lower


SABOTAGE = {
    "shuffled codes": (lambda s: shuffled(s, 1024), "cer", 0.3),
    "another voice": (other_voice, "secs", -0.08),
    "cut ending": (lambda s: s[: int(0.45 * len(s))], "skips", 0.5),
    "slowed": (lambda s: librosa.effects.time_stretch(s, rate=0.6), "duration_ratio", 0.5),
    "clipped": (lambda s: np.clip(8 * s, -0.9, 0.9), "clipped", 0.9),
    "noisy": (lambda s: (s + 0.05 * np.random.default_rng(1).standard_normal(len(s))).astype(np.float32), "mos", -0.3),
    "a gap": (lambda s: np.insert(s, len(s) // 2, np.zeros(30000)), "long_silences", 0.9),
}  # fmt: skip


@pytest.fixture(scope="module")
def unspoilt(measurer, dataset) -> dict[str, float]:
    return heard_of(measurer, dataset, lambda sound: sound)


@pytest.mark.slow
@pytest.mark.parametrize("name", SABOTAGE)
def test_damaged_speech_is_detected_by_its_measure(measurer, dataset, unspoilt, name):
    spoil, measure, change = SABOTAGE[name]
    sound, spoilt = unspoilt[measure], heard_of(measurer, dataset, spoil)[measure]
    assert (spoilt - sound) * np.sign(change) >= abs(change), f"{measure}: {sound:.3f}, spoilt {spoilt:.3f}"


def test_xtts_speaker_embedding_equals_the_stock_clients(bundle_base, sound):
    xtts = folder.open_xtts(bundle_base)
    torch.nn.init.normal_(xtts.hifigan_decoder.speaker_encoder.fc.weight)  # random weights, the same for both
    found = OwnEncoder(xtts).embed(sound, RATE)
    stock = xtts.get_speaker_embedding(torch.from_numpy(sound)[None], RATE)
    assert found.shape == (512,)
    assert np.allclose(found, stock.detach().numpy().ravel(), atol=1e-5)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-4)
    assert OwnEncoder(xtts).embed(np.zeros(RATE, np.float32), RATE) is None
