"""Training and choosing the best model use no test clip, and measuring uses no validation clip.

The tests replace one side of a dataset by garbage: texts, tokens, codes, mels and recordings. Results that must not
depend on that side must keep the same bits. Results that depend on it must change, so that the tests can fail.
"""

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from lightning_fabric import Fabric

import ceiling
import speak
from voicetune import families
from voicetune.data import clip as clips_file
from voicetune.data import codes as codes_file
from voicetune.data.codes import Codes, Encoded
from voicetune.data.dataset import Dataset
from voicetune.data.split import SIDES, TEST, TRAIN, VALIDATION
from voicetune.measures import clip_losses, cross_entropy, judge, speaking, take_measures, takes
from voicetune.measures.catalogue.similarity import Similar
from voicetune.measures.material import Material
from voicetune.measures.takes import Take
from voicetune.model import measured_recipe
from voicetune.params import training
from voicetune.params.choosing import Choice
from voicetune.params.decoding import Decoding
from voicetune.speech import conditioning, references, voice
from voicetune.training import loop
from voicetune.training.checkpoint import State
from voicetune.training.job import Job

ROOT = Path(__file__).parents[1]
SEED = 1
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def garbled(dataset, tmp_path_factory) -> dict[str, Path]:
    """Four datasets: by the name of a side, the one in which that side is garbage, and by `""` the unchanged one."""
    return {"": dataset, **{side: garble(dataset, side, tmp_path_factory.mktemp("data")) for side in SIDES}}


def garble(data: Path, side: str, out: Path) -> Path:
    codes, rng = Codes(data / "codes"), np.random.default_rng(3)
    clips, encoded = [], []
    (out / "clips").mkdir()
    for i, clip in enumerate(codes.clips):
        tokens, own, mel = codes.tokens(i), codes.codes(i), codes.mel(i)
        sound, rate = soundfile.read(data / "clips" / clip.file, dtype="float32")
        if clip.split == side:
            clip = dataclasses.replace(clip, text=f"Garbage {i}.", seconds=clip.seconds + 1)
            tokens, own = np.concatenate([tokens, tokens[::-1]]), rng.integers(0, 1000, own.size + 9).astype(own.dtype)
            mel = rng.standard_normal((mel.shape[0] + 36, 80)).astype(mel.dtype)
            sound = rng.uniform(-0.5, 0.5, sound.size + 9999).astype(np.float32)
        soundfile.write(out / "clips" / clip.file, sound, rate, subtype="PCM_16")
        clips.append(clip)
        encoded.append(Encoded(tokens, own, mel))
    clips_file.write(out / "clips/clips.csv", clips)
    codes_file.save(out / "codes", clips, encoded)
    return out


def test_the_dataset_has_all_three_sides(garbled):
    codes = Codes(garbled[""] / "codes")
    assert [codes.training.tolist(), codes.validation.tolist(), codes.test.tolist()] == [
        list(range(10)), [10, 11], [12, 13],
    ]  # fmt: skip


# Training and choosing


def trained(data: Path, base: Path, state: Path) -> tuple[list, dict[str, torch.Tensor]]:
    """Train three steps, with an evaluation after each. Return the curves and the best weights."""
    phase = training.load("train_phase1", ROOT / "params.yaml").phase.model_copy(
        update={"max_steps": 3, "batch_size": 4, "eval_every": 1, "log_every": 1, "reference_seconds": (0.4, 0.6),
                "warmup_steps": 0, "precision": "32-true"}
    )  # fmt: skip
    curve: list = []

    def log(step: int, values: dict[str, float], _write: bool) -> None:
        curve.append((step, {name: value for name, value in values.items() if not name.startswith("run/")}))

    state.mkdir()
    loss = families.training(base).open_model(base).loss()
    job = Job(
        loss=loss, codes=Codes(data / "codes"), phase=phase, seed=SEED, measured=measured_recipe(0.5),
        fabric=Fabric(accelerator="cpu", devices=1, precision="32-true"), state=State(state), log=log,
    )  # fmt: skip
    best, _ = loop.train(job)
    return curve, best


def test_a_training_does_not_depend_on_the_test_clips(garbled, small_base, tmp_path):
    (curve, best), (other, weights) = (
        trained(garbled[side], small_base, tmp_path / f"state{side}") for side in ("", TEST)
    )
    assert curve == other
    assert best.keys() == weights.keys()
    assert all(torch.equal(best[name], weights[name]) for name in best)
    (chosen_otherwise, _), (trained_otherwise, _) = (
        trained(garbled[side], small_base, tmp_path / f"state{side}") for side in (VALIDATION, TRAIN)
    )

    def of(curve: list, kind: str) -> list[float]:
        return [values[name] for _, values in curve for name in values if name.startswith(kind)]

    assert len(of(curve, "train/mel_ce")) == 3
    assert len(of(curve, "validation/mel_ce")) == 4
    assert of(chosen_otherwise, "train/") == of(curve, "train/"), "validation clips train nothing"
    assert of(chosen_otherwise, "validation/mel_ce") != of(curve, "validation/mel_ce")
    assert of(trained_otherwise, "train/mel_ce") != of(curve, "train/mel_ce")


CHOICE = Choice(
    select="mos", sentences=1000, asr=None, code="",
    decoding=Decoding(temperature=0.5, top_k=50, top_p=0.8, repetition_penalty=1.0),
)  # fmt: skip


@pytest.fixture
def says(monkeypatch):
    """Speak every sentence as a tone, and return the list of the ids of spoken clips."""
    spoken: list[str] = []

    def speak(_voice, codes, _speakers, chosen, _decoding, _seed, takes):
        spoken.extend(codes.clips[i].id for i in chosen)
        tone = np.sin(np.arange(22050) / 20).astype(np.float32)
        return [Take(codes.clips[i], number, tone, stopped=True) for number in range(takes) for i in chosen]

    monkeypatch.setattr(judge, "speak", speak)
    monkeypatch.setattr(speaking, "speak", speak)
    monkeypatch.setattr(judge, "compute_speakers", lambda *_: {})
    return spoken


def test_a_judge_speaks_exactly_the_validation_sentences(dataset, says):
    network = torch.nn.Linear(1, 1).train()
    speaker = SimpleNamespace(model=SimpleNamespace(network=network), rate=22050)
    data = Dataset(dataset)
    codes = data.codes
    figures, score = judge.Judge(speaker, data, CHOICE, SEED)()
    assert sorted(says) == [codes.clips[i].id for i in codes.validation]
    assert figures == {"mos": -score}
    assert network.training, "the model is in training mode again"


# Measuring


def test_the_cross_entropies_of_the_test_clips_do_not_depend_on_the_validation_clips(garbled, small_base):
    model = families.training(small_base).open_model(small_base)

    def measured(side: str) -> clip_losses.ClipLosses:
        return clip_losses.measure(model, Dataset(garbled[side]), SEED, 0.5)

    found, same, other = (measured(side) for side in ("", VALIDATION, TEST))
    assert found.ids == same.ids == ["clip12", "clip13"]
    assert found.stock_mel_ce == same.stock_mel_ce != other.stock_mel_ce
    for field in dataclasses.fields(cross_entropy.CrossEntropy):
        one, two = (getattr(each.losses, field.name) for each in (found, same))
        assert np.array_equal(one, two), field.name
    assert (found.losses.mel != other.losses.mel).all()
    assert (found.losses.mel != measured(TRAIN).losses.mel).all(), "the references are training clips"


def test_sentences_are_drawn_only_from_the_given_side(garbled):
    codes = Codes(garbled[""] / "codes")
    for own in (codes.validation, codes.test):
        assert takes.sentences(own, SEED, 1000).tolist() == own.tolist()
        assert set(takes.sentences(own, SEED, 1)) < set(own)


def test_references_and_speaker_embeddings_come_from_training_clips(garbled):
    def heard(side: str) -> tuple[list[np.ndarray], np.ndarray]:
        data = Dataset(garbled[side])
        similar = Similar(Material(data, [data.codes.clips[12]]))
        return conditioning.read_longest(data, "quizmaster"), similar.voices["secs"]["quizmaster"]

    (clips, embedded), *others = (heard(side) for side in ("", VALIDATION, TEST))
    for again, voice_again in others:
        assert len(again) == len(clips) == 10
        assert all(np.array_equal(one, two) for one, two in zip(clips, again, strict=True))
        assert np.array_equal(embedded, voice_again)
    assert not np.array_equal(embedded, heard(TRAIN)[1])


def test_stages_speak_and_ceiling_use_exactly_the_test_sentences(dataset, tmp_path, monkeypatch, says):
    monkeypatch.chdir(tmp_path)
    settings = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("  sentences: 8 ", "  sentences: 1000 ")
    (tmp_path / "params.yaml").write_text(settings, encoding="utf-8")
    (tmp_path / "data").mkdir()
    for name in ("clips", "codes"):
        (tmp_path / "data" / name).symlink_to(dataset / name)
    codes = Codes(dataset / "codes")
    wanted = [codes.clips[i].id for i in codes.test]
    model = SimpleNamespace(vocoder="griffin_lim", voices_latents=False, own_encoder=lambda: None)
    speaker = SimpleNamespace(model=model, rate=22050, codec_rate=22050)
    monkeypatch.setattr(voice, "Voice", lambda *_: speaker)
    monkeypatch.setattr(references, "best", lambda *_: {})
    monkeypatch.setattr(sys, "argv", ["src/speak.py", "phase1"])
    speak.main()
    assert says == wanted
    said, _ = takes.read(tmp_path / "data/spoken/phase1", codes)
    assert [take.clip.id for take in said] == 3 * wanted

    def through(_voice, data, chosen):
        return [dataclasses.replace(take, stopped=True) for take in takes.recorded(data, chosen)]

    monkeypatch.setattr(speaking, "through_codec", through)
    monkeypatch.setattr(take_measures, "measurer_for", lambda *_: None)
    ceiling.main()
    for row in ("recordings", "codec"):
        said, _ = takes.read(tmp_path / "data/spoken" / row, codes)
        assert [take.clip.id for take in said] == wanted
