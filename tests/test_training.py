"""The training: the order of clips, the golden loss on the CPU, how a phase ends, and its saved states."""

import errno
import itertools
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import SPEAKER
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from TTS.tts.layers.xtts.gpt import GPT
from TTS.tts.models.xtts import Xtts

from voicetune import __main__ as command_line
from voicetune import entry, files
from voicetune.data import codes as codes_file
from voicetune.data.clip import Clip
from voicetune.data.codes import Codes, Encoded
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.measures import cross_entropy
from voicetune.model import Recipe, measured_recipe
from voicetune.params import reading
from voicetune.params.choosing import Choice
from voicetune.params.decoding import Decoding
from voicetune.params.training import Phase, TrainStage
from voicetune.speech.say import say
from voicetune.speech.voice import Line, Voice
from voicetune.training import (
    attempts,
    batches,
    checkpoint,
    devices,
    durable,
    gather,
    loop,
    optimization,
    phase,
    state_folders,
)
from voicetune.training.checkpoint import State
from voicetune.training.job import Job
from voicetune.training.step import drawn_of_step, recipe_of
from voicetune.xtts import folder
from voicetune.xtts.batch import Tokens
from voicetune.xtts.gpt import TrainingLoss, set_dropout

pytestmark = pytest.mark.usefixtures("one_thread")

TOKENS = Tokens(start_text=1, stop_text=0, start_audio=64, stop_audio=65)
MEASURED = Recipe(reference_seconds=(0.4, 0.4))
PHASE_FILES = {
    "config.json", "vocab.json", "dvae.pth", "mel_stats.pth", "best_model.pth", "speakers_xtts.pth", "voicetune.json",
    "LICENSE.txt",
}  # fmt: skip


# The settings of a phase if a test does not change them. params.yaml must have every key, so all are here.
USUAL = {
    "lr": 3e-3, "epochs": 100, "max_steps": 6, "batch_size": 4, "accumulate": 1, "warmup_steps": 0,
    "schedule": "constant", "weight_decay": 0.01, "clip_norm": 1.0, "dropout": 0.0, "text_weight": 0.01,
    "reference": "other", "reference_seconds": (0.4, 0.4), "shared_reference": False, "text_stop_visible": True,
    "stop_targets": 1, "lora_rank": None, "lora_alpha": 16.0, "activation_checkpointing": False, "optimizer": "adamw",
    "precision": "32-true", "eval_every": 1000, "log_every": 1, "target_mel_ce": None, "patience": None,
    "select": "mel_ce",
}  # fmt: skip
DECODING = Decoding(temperature=0.5, top_k=50, top_p=0.8, repetition_penalty=2.0)
BY_MEL_CE = Choice(select="mel_ce", sentences=None, asr=None, decoding=None, code=None)


def phase_with(**changes) -> Phase:
    """A short phase in fp32 that evaluates only at its end."""
    return reading.check(Phase, {**USUAL, **changes}, "test")


# Invented data, and a GPT of 2 layers and width 64


def small_gpt(seed: int = 1, width: int = 64) -> GPT:
    torch.manual_seed(seed)
    return GPT(
        layers=2, model_dim=width, heads=2, max_text_tokens=40, max_mel_tokens=60, number_text_tokens=30,
        start_text_token=TOKENS.start_text, stop_text_token=TOKENS.stop_text, num_audio_tokens=66,
        start_audio_token=TOKENS.start_audio, stop_audio_token=TOKENS.stop_audio, use_perceiver_resampler=True,
    )  # fmt: skip


def write_made_up(where: Path, speakers=lambda i: "a", mel=None) -> None:
    """Write 16 training and 4 validation clips. Each code follows from the one before, so a GPT can learn them."""
    rng = np.random.default_rng(11)
    clips, encoded = [], []
    for i in range(20):
        count = int(rng.integers(12, 24))
        split = "train" if i < 16 else "validation"
        clips.append(Clip(f"c{i}", f"c{i}.flac", "x", "en", speakers(i), "s", count * 1024 / 22050, split))
        text = rng.integers(2, 30, int(rng.integers(4, 9))).astype(np.int32)
        row = (int(text[0]) + 5 * np.arange(count)) % 64
        frames = rng.standard_normal((4 * count, 80)).astype(np.float16)
        encoded.append(Encoded(text, row.astype(np.int16), frames if mel is None else mel(i, frames)))
    codes_file.save(where, clips, encoded)


@pytest.fixture
def made_up(tmp_path) -> Codes:
    write_made_up(tmp_path / "codes")
    return Codes(tmp_path / "codes")


class Curve(list):
    """Collects what a training logs: (step, values)."""

    def __call__(self, step: int, values: dict[str, float], _write: bool) -> None:
        self.append((step, values))

    def of(self, name: str) -> list[float]:
        return [values[name] for _, values in self if name in values]


def train(codes: Codes, settings: Phase, place: Path, log=lambda *_: None, judge=None, fabric=None, gpt=None):
    """Train the small GPT. Returns the best weights, the run and the curve."""
    place.mkdir(parents=True, exist_ok=True)
    curve = Curve()

    def both(*row) -> None:
        curve(*row)
        log(*row)

    fabric = fabric or Fabric(accelerator="cpu", devices=1, precision=settings.precision)
    loss = TrainingLoss(gpt or small_gpt().eval())  # `folder.open_xtts` also returns a model in evaluation mode
    job = Job(
        loss=loss, codes=codes, phase=settings, seed=7, measured=MEASURED, fabric=fabric, state=State(place), log=both,
        judge=judge,
    )  # fmt: skip
    best, run = loop.train(job)
    return best, run, curve


def loaded(state: State) -> dict | None:
    """What a training on one device would go on from."""
    return gather.load(state, Fabric(accelerator="cpu", devices=1))


# Which clips a step trains on


@pytest.mark.parametrize(("clips", "batch"), [(1, 1), (3, 8), (16, 4), (17, 4), (311, 12), (1000, 3)])
def test_an_epoch_has_every_clip_once(clips, batch):
    lengths = np.random.default_rng(0).integers(10, 300, clips)
    found = batches.epoch(1, 0, lengths, batch)
    assert len(found) == batches.steps_per_epoch(clips, batch)
    assert max(len(part) for part in found) <= batch
    assert sorted(np.concatenate(found).tolist()) == list(range(clips))


def test_batches_depend_only_on_seed_and_epoch():
    lengths = np.random.default_rng(0).integers(10, 300, 100)

    def flat(seed: int, number: int) -> list[list[int]]:
        return [part.tolist() for part in batches.epoch(seed, number, lengths, 8)]

    first = flat(1, 0)
    np.random.default_rng(3).random(9)
    np.random.seed(3)
    assert flat(1, 0) == first
    assert flat(1, 1) != first
    assert flat(2, 0) != first
    steps = [batches.clips_of_step(1, step, lengths, 8).tolist() for step in range(26)]
    assert steps == first + flat(1, 1)


def test_batches_hold_clips_of_similar_lengths():
    lengths = np.random.default_rng(0).integers(10, 300, 320)
    spread = [np.ptp(lengths[part]) for part in batches.epoch(1, 0, lengths, 8)]
    assert np.mean(spread) < 0.25 * np.ptp(lengths)


# The loop, on made-up data

GOLDEN = [
    4.352284908294678, 4.308670520782471, 4.297644138336182, 4.14794397354126, 3.9269754886627197,
    3.7658004760742188, 3.4043729305267334, 3.180050849914551, 2.8697550296783447, 2.9854586124420166,
    2.7028448581695557, 2.3123860359191895, 1.9608362913131714, 2.3142354488372803, 2.0637853145599365,
    1.689287543296814, 1.5765305757522583, 1.4685461521148682, 1.2800681591033936, 1.9396564960479736,
    1.2741005420684814, 1.1258453130722046, 1.1815053224563599, 1.7641234397888184, 1.1271343231201172,
    1.0998865365982056, 0.9929584860801697, 1.673832654953003, 1.3134053945541382, 1.4226369857788086,
]  # fmt: skip


def test_the_training_loss_equals_the_golden_values(made_up, tmp_path):
    """This detects any change of the loss: by order, references, rows, optimizer, schedule or clipping."""
    settings = phase_with(max_steps=30, warmup_steps=4, schedule="cosine", reference_seconds=(0.4, 0.6), clip_norm=1.0)
    _, run, curve = train(made_up, settings, tmp_path / "state")
    assert run.ended == "all steps"
    assert curve.of("train/mel_ce") == pytest.approx(GOLDEN, abs=1e-4)


@pytest.mark.slow
def test_a_gradient_has_the_same_bits_every_time(made_up):
    """It uses two threads, bf16, a width at which torch splits the work, and one reference for all rows."""
    settings = phase_with(batch_size=12, shared_reference=True)
    loss = TrainingLoss(small_gpt(width=256))
    set_dropout(loss.network, 0.0)
    drawn = drawn_of_step(loss, made_up, settings, 1, 0)[0]
    batch = loss.batch(made_up, drawn, recipe_of(settings))
    torch.set_num_threads(2)
    try:
        every = [gradients(loss, batch) for _ in range(8)]
    finally:
        torch.set_num_threads(1)
    differ = {name for other in every[1:] for name in other if not torch.equal(other[name], every[0][name])}
    assert differ == set()


def gradients(loss: TrainingLoss, batch) -> dict[str, torch.Tensor]:
    loss.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        text, mel = loss(batch)
    (mel.mean() + text.mean()).backward()
    return {name: p.grad.clone() for name, p in loss.named_parameters() if p.grad is not None}


def test_two_micro_batches_give_the_step_of_one_large_batch(tmp_path):
    """A constant mel makes all references equal, so that their number and order do not matter."""
    frame = np.random.default_rng(2).standard_normal(80).astype(np.float16)
    write_made_up(tmp_path / "codes", mel=lambda _, frames: np.tile(frame, (len(frames), 1)))
    codes = Codes(tmp_path / "codes")
    curves = [
        train(codes, phase_with(batch_size=size, accumulate=parts, max_steps=5), tmp_path / f"{size}")[2]
        for size, parts in ((8, 1), (4, 2), (3, 3))
    ]
    for name in ("train/mel_ce", "train/text_ce", "validation/mel_ce"):
        assert curves[1].of(name) == pytest.approx(curves[0].of(name), abs=1e-5)
        assert curves[2].of(name) != pytest.approx(curves[0].of(name), abs=1e-5)  # steps of 9 clips differ


def test_a_loss_that_is_not_finite_ends_the_training_and_names_step_and_clips(tmp_path, monkeypatch):
    """One clip has infinite values. With reference: self, only that clip uses them."""
    poisoned = 5
    write_made_up(
        tmp_path / "codes",
        speakers=lambda i: "b" if i == poisoned else "a",
        mel=lambda i, frames: np.full_like(frames, np.inf) if i == poisoned else frames,
    )
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0.0)
    codes = Codes(tmp_path / "codes")
    settings = phase_with(reference="self", max_steps=50, batch_size=4, eval_every=1)
    order = [batches.clips_of_step(7, step, codes.lengths[codes.training], 4).tolist() for step in range(50)]
    bad = next(step for step, clips in enumerate(order) if poisoned in clips)
    with pytest.raises(UserError, match=rf"step {bad + 1}: the loss is not a finite number") as error:
        train(codes, settings, tmp_path / "state")
    for clip in order[bad]:
        assert codes.clips[clip].id in str(error.value)
    saved = loaded(State(tmp_path / "state"))
    assert saved["run"]["step"] == bad
    assert all(value.isfinite().all() for value in saved["weights"].values())
    assert all(math.isfinite(value) for _, row in saved["history"] for value in row.values())


class Killed(Exception):
    pass


@pytest.fixture
def saved_at_every_step(monkeypatch):
    """Save a state at every step instead of once a minute, so that a killed training resumes from the middle."""
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0.0)


def test_dropout_is_on_after_resuming(made_up, tmp_path, saved_at_every_step):
    """Dropout must be on from the first resumed step, because an evaluation restores the mode that it found."""
    settings = phase_with(dropout=0.1, max_steps=8, eval_every=4)
    _, _, whole = train(made_up, settings, tmp_path / "whole")

    def kill(step, *_):
        if step == 6:
            raise Killed

    with pytest.raises(Killed):
        train(made_up, settings, tmp_path / "killed", kill)
    _, _, curve = train(made_up, settings, tmp_path / "killed")
    assert curve.of("train/mel_ce") == whole.of("train/mel_ce")


# Half precision, with Fabric's scaler on the CPU


def half(init_scale: float = 65536.0) -> Fabric:
    """Fabric as it is for 16-mixed on a GPU, but on the CPU."""
    scaler = torch.amp.GradScaler("cpu", init_scale=init_scale)
    return Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu", scaler))


def test_half_precision_gives_nearly_the_losses_of_fp32(made_up, tmp_path):
    settings = {"max_steps": 12, "clip_norm": 0.5, "dropout": 0.1}
    _, run, curve = train(made_up, phase_with(precision="16-mixed", **settings), tmp_path / "half", fabric=half())
    _, _, full = train(made_up, phase_with(**settings), tmp_path / "full")
    assert run.ended == "all steps"
    assert curve.of("train/mel_ce") == pytest.approx(full.of("train/mel_ce"), abs=0.1)
    assert curve.of("validation/mel_ce")[-1] < curve.of("validation/mel_ce")[0] - 0.5


@pytest.mark.slow
def test_a_step_whose_gradients_overflow_is_skipped(made_up, tmp_path, saved_at_every_step):
    """This also holds after a kill, because the state includes the loss scale."""
    settings = phase_with(precision="16-mixed", max_steps=10, eval_every=1)
    fabric = half(2.0**22)
    best, run, curve = train(made_up, settings, tmp_path / "whole", fabric=fabric)
    scale = fabric.strategy.precision.scaler.get_scale()
    left_out = round(math.log2(2.0**22 / scale))
    measured = curve.of("validation/mel_ce")
    assert 0 < left_out < 10
    assert sum(one == after for one, after in itertools.pairwise(measured)) == left_out
    assert (run.ended, run.step) == ("all steps", 10)

    def kill(step, values, _):
        if step == 6 and "train/mel_ce" in values:
            raise Killed

    with pytest.raises(Killed):
        train(made_up, settings, tmp_path / "killed", kill, fabric=half(2.0**22))
    again, _, resumed = train(made_up, settings, tmp_path / "killed", fabric=half(2.0**22))
    assert points(resumed) == points(curve)
    assert all(torch.equal(value, best[name]) for name, value in again.items())


def test_gradients_that_always_overflow_end_the_training_with_a_remedy(made_up, tmp_path):
    gpt = small_gpt().eval()
    gpt.mel_head.bias.register_hook(lambda gradient: gradient * math.inf)
    settings = phase_with(precision="16-mixed", max_steps=40)
    with pytest.raises(
        UserError, match=r"step 17: the gradients are too large for 16-bit numbers .* use precision: 32-true"
    ):
        train(made_up, settings, tmp_path / "state", fabric=half(), gpt=gpt)


def test_a_loss_that_is_not_finite_in_half_precision_names_the_other_precisions(made_up, tmp_path):
    gpt = small_gpt().eval()
    with torch.no_grad():
        gpt.mel_head.bias[3] = 1e5  # overflows in 16 bits, but not in the evaluation in 32 bits
    settings = phase_with(precision="16-mixed", max_steps=40)
    with pytest.raises(UserError, match=r"step 1: the loss is not a finite number .* use precision: 32-true \(or bf16"):
        train(made_up, settings, tmp_path / "state", fabric=half(), gpt=gpt)


# How a phase ends


def scripted(monkeypatch, mel_ces: list[float]) -> list[dict[str, torch.Tensor]]:
    """Make evaluations return these mel CEs. Returns the list of weights at each evaluation."""
    weights: list[dict[str, torch.Tensor]] = []

    def measure(loss, *_):
        weights.append({name: value.clone() for name, value in loss.network.state_dict().items()})
        return SimpleNamespace(mel_ce=mel_ces[len(weights) - 1], text_ce=1.0 / len(weights))

    monkeypatch.setattr(loop.cross_entropy, "measure", measure)
    return weights


@pytest.mark.parametrize(
    ("changes", "ended", "steps", "best_step"),
    [
        ({"patience": 2}, "patience", 8, 4),
        ({"patience": 4}, "all steps", 12, 12),
        ({"target_mel_ce": 3.5}, "target reached", 4, 4),
        ({}, "all steps", 12, 12),
    ],
)
def test_a_phase_ends_by_patience_target_or_steps(made_up, tmp_path, monkeypatch, changes, ended, steps, best_step):
    values = [5.0, 4.0, 3.0, 3.5, 3.0, 3.2, 2.0]  # at steps 0, 2, 4 and so on; an equal value is not better
    weights = scripted(monkeypatch, values)
    best, run, curve = train(made_up, phase_with(max_steps=12, eval_every=2, **changes), tmp_path / "state")
    assert (run.ended, run.step, run.best_step) == (ended, steps, best_step)
    assert curve.of("validation/mel_ce") == values[: steps // 2 + 1]
    assert run.best_mel_ce == values[best_step // 2]
    assert run.start_mel_ce == 5.0
    assert all(torch.equal(value, weights[best_step // 2][name]) for name, value in best.items())
    manifests = sorted((tmp_path / "state").glob("step-*.json"), key=lambda path: int(path.stem[5:]))
    assert [path.stem for path in manifests] == ["step-0", f"step-{steps}"]  # it ended within a minute
    kept = {name for path in manifests for name in json.loads(path.read_text())["files"]}
    assert {path.name for path in (tmp_path / "state").iterdir()} == kept | {path.name for path in manifests}
    assert f"best-{best_step}.pt" in kept


def test_a_phase_that_begins_at_its_target_takes_no_step(made_up, tmp_path, monkeypatch, capsys):
    scripted(monkeypatch, [2.4])
    _, run, _ = train(made_up, phase_with(target_mel_ce=2.5), tmp_path / "state")
    assert (run.ended, run.step, run.best_step) == ("target reached", 0, 0)
    said = capsys.readouterr().out
    assert "already has a validation mel CE of 2.4000, and the target is 2.5" in said


def test_better_weights_are_written_at_evaluations_and_states_once_a_minute(made_up, tmp_path, monkeypatch):
    """The clock of the test advances by 7 s in each step."""
    scripted(monkeypatch, values := [5.0, 4.0, 4.5, 3.0, 3.5, 2.9, 2.8, 3.0, 3.1, 3.2, 2.7])
    clock, written = itertools.count(1.0, 1e-6), []
    steps = [0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock) + 7 * steps[0]))

    def write(path, value):
        entry = checkpoint_write(path, value)
        written.append((path.stem, entry["bytes"]))
        return entry

    checkpoint_write = checkpoint.write_beside
    monkeypatch.setattr(checkpoint, "write_beside", write)

    def tick(_step, row, _write):
        steps[0] += "train/mel_ce" in row

    settings = phase_with(max_steps=20, eval_every=2)
    _, run, _ = train(made_up, settings, tmp_path / "state", tick)
    names = [name for name, _ in written]
    assert [name for name in names if name.startswith("best")] == [f"best-{step}" for step in (0, 2, 6, 10, 12, 20)]
    assert [name for name in names if name.startswith("step")] == ["step-0", "step-9", "step-18", "step-20"]
    assert (run.best_step, run.best_mel_ce) == (20, min(values))
    sizes = {name.split("-")[0]: size for name, size in written if name not in ("step-0", "best-0")}
    assert sizes["step"] > 2.5 * sizes["best"]  # a state also has AdamW's moments


def test_a_judges_score_chooses_the_best_model_instead_of_the_mel_ce(made_up, tmp_path):
    scores = iter([0.5, 0.2, 0.4, 0.3])
    settings = phase_with(max_steps=6, eval_every=2, patience=2)

    def judge():
        cer = next(scores)
        return {"cer": cer}, cer

    best, run, curve = train(made_up, settings, tmp_path / "judged", judge=judge)
    assert (run.best_step, run.best_score, run.step, run.ended) == (2, 0.2, 6, "patience")
    assert curve.of("validation/cer") == [0.5, 0.2, 0.4, 0.3]
    assert run.best_mel_ce == curve.of("validation/mel_ce")[1] > min(curve.of("validation/mel_ce"))
    after_two, _, _ = train(made_up, phase_with(max_steps=6, eval_every=2), tmp_path / "plain")
    assert any(not torch.equal(best[name], after_two[name]) for name in best), "not those of the lowest mel CE"


@pytest.mark.parametrize(("capability", "told"), [("AVX2", True), ("AVX512", False)])
def test_a_cpu_without_bfloat16_is_told_so(capability, told, monkeypatch, capsys):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    devices.fabric_for(settings_with(precision="bf16-mixed"))
    assert ("no instructions for bfloat16" in capsys.readouterr().out) is told


def test_evaluations_in_training_equal_those_of_stage_evaluate(made_up, tmp_path):
    """Evaluations use fp32 without TF32 and autocast, and then restore the settings of the training."""
    settings = phase_with(precision="bf16-mixed", max_steps=4, eval_every=2)
    seen, gpt = set(), small_gpt().eval()

    def look(*_):
        products, convolutions = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        seen.add((gpt.training, products, convolutions, torch.is_autocast_enabled("cpu")))

    gpt.text_head.register_forward_hook(look)
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # as `devices.fabric_for` sets it
    try:
        best, run, _ = train(made_up, settings, tmp_path / "state", gpt=gpt)
        measured = TrainingLoss(small_gpt().eval())
        measured.network.load_state_dict(best)
        again = cross_entropy.measure(measured, made_up, made_up.validation, 7, MEASURED)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    assert seen == {(False, False, False, False), (True, True, True, True)}
    assert (again.mel_ce, again.text_ce) == (run.best_mel_ce, run.best_text_ce)


def test_learning_rates_of_warmup_and_schedules():
    def rate(step: int, **changes) -> float:
        return optimization.learning_rate(phase_with(lr=1e-3, **changes), step, 110)

    assert [rate(s, warmup_steps=10) for s in (0, 4, 9, 10, 60, 109)] == pytest.approx([1e-4, 5e-4] + [1e-3] * 4)
    assert rate(0) == 1e-3
    falling = {"warmup_steps": 10, "schedule": "cosine"}
    assert [rate(s, **falling) for s in (0, 9, 10, 60, 110)] == pytest.approx([1e-4, 1e-3, 1e-3, 5.5e-4, 1e-4])
    assert all(a > b for a, b in itertools.pairwise(rate(s, **falling) for s in range(10, 111)))


def test_steps_of_a_phase():
    assert optimization.total_steps(phase_with(epochs=3, batch_size=4, max_steps=None), 17) == 15
    assert optimization.total_steps(phase_with(epochs=3, batch_size=4, accumulate=2, max_steps=None), 17) == 9
    assert optimization.total_steps(phase_with(epochs=3, batch_size=4, max_steps=7), 17) == 7


def test_weight_decay_is_for_matrices_only():
    loss = TrainingLoss(small_gpt())
    names = {id(parameter): name for name, parameter in loss.named_parameters()}
    decayed, plain = optimization.optimizer_for(loss, phase_with(weight_decay=0.05)).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.05, 0.0)
    in_decayed, in_plain = ({names[id(p)] for p in group["params"]} for group in (decayed, plain))
    assert in_decayed | in_plain == set(names.values())
    assert not in_decayed & in_plain
    for part in ("embedding", "ln_", "norm", "bias", "gamma"):
        assert not [name for name in in_decayed if part in name], part
    for matrix in ("c_attn.weight", "c_fc.weight", "mel_head.weight", "text_head.weight", "to_q.weight"):
        assert [name for name in in_decayed if name.endswith(matrix)], matrix
    for vector in ("mel_embedding.weight", "text_pos_embedding.emb.weight", "ln_f.weight", "final_norm.bias"):
        assert [name for name in in_plain if name.endswith(vector)], vector


# A whole phase, from the parent's folder to its own


TRAINING = {
    "lr": 1e-3, "epochs": 100, "max_steps": 14, "batch_size": 4, "warmup_steps": 2, "schedule": "cosine",
    "dropout": 0.1, "reference_seconds": [0.4, 0.6], "precision": "bf16-mixed", "eval_every": 4, "log_every": 1,
}  # fmt: skip


def test_a_gpu_of_apple_is_not_given_wrong_gradients(monkeypatch):
    monkeypatch.setattr(devices, "choose_device", lambda wanted: "mps")
    with pytest.raises(UserError, match=r"^activation_checkpointing draws another dropout .*; set dropout: 0 or "):
        devices.fabric_for(settings_with(activation_checkpointing=True, dropout=0.1))


@pytest.mark.parametrize(
    "told",
    ["DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory: you tried to allocate 9 B",
     "MPS backend out of memory (MPS allocated: 9 GB)"],
)  # fmt: skip
def test_too_little_memory_is_known_on_each_system(told):
    assert attempts._why(RuntimeError(f"[enforce fail] {told}")) == attempts.OUT_OF_MEMORY
    assert attempts._why(RuntimeError("CUDA error: an illegal memory access")) != attempts.OUT_OF_MEMORY


def settings_with(**changes) -> TrainStage:
    """The parameters of stage train_phase1: the settings `TRAINING` with these changes."""
    phase_1 = reading.check(Phase, {**USUAL, **TRAINING, **changes}, "test")
    return TrainStage(
        seed=1, device="cpu", devices=1, num_nodes=1, strategy="ddp", conditioning_seconds=0.5, phase=phase_1
    )


def run_phase(parent: Path, data: Path, out: Path, log=lambda *_: None, **changes) -> list[dict[str, object]]:
    """Call `phase.run` as the stage does, and return its restarts."""
    return phase.run("train_phase1", settings_with(**changes), BY_MEL_CE, parent, out, Dataset(data), log)


def run_and_signal(where: Path, parent: Path, data: Path, step: int, number: signal.Signals) -> tuple[int, str]:
    """Run the phase in a new process that gets a signal when it logs `step`. Return its exit status and its output."""

    def log(at: int, values: dict[str, float], _write: bool) -> None:
        if at == step and "train/mel_ce" in values:
            os.kill(os.getpid(), number)

    def child() -> None:
        os.chdir(where)
        sys.stdout = sys.stderr = open("said.txt", "w", buffering=1)  # noqa: SIM115
        entry.run(lambda: run_phase(parent, data, where / "out", log))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(300)
    return process.exitcode, (where / "said.txt").read_text()


@pytest.fixture(scope="module")
def published(one_thread, small_base, dataset, tmp_path_factory):
    """Run an uninterrupted phase. Return its folder and its curve."""
    where = tmp_path_factory.mktemp("uninterrupted")
    curve = Curve()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        assert run_phase(small_base, dataset, where / "models" / "phase1", curve) == []
    return where / "models" / "phase1", curve


def points(curve: Curve) -> list[tuple]:
    """Remove the values that depend on the clock and the machine from a curve."""
    rows = [(s, {n: v for n, v in row.items() if not n.startswith("run/")}) for s, row in curve]
    return [(s, row) for s, row in rows if row]


def state_of(where: Path) -> dict:
    (place,) = (where / "state").iterdir()
    return loaded(State(place))


def test_a_killed_and_stopped_phase_ends_in_the_same_bytes(small_base, dataset, published, tmp_path, monkeypatch):
    killed = run_and_signal(tmp_path, small_base, dataset, 6, signal.SIGKILL)
    assert killed[0] == -signal.SIGKILL, killed
    # only the first state exists, because no minute has passed; the evaluation at step 4 will be repeated
    assert state_of(tmp_path)["run"]["step"] == 0

    status, said = run_and_signal(tmp_path, small_base, dataset, 10, signal.SIGTERM)
    assert status > 0, said
    assert "resuming from step 0 of 14" in said
    assert state_of(tmp_path)["run"]["step"] == 10
    assert not list(tmp_path.glob("out*"))

    monkeypatch.chdir(tmp_path)
    curve = Curve()
    restarts = run_phase(small_base, dataset, tmp_path / "out", curve)
    expected, expected_curve = published
    assert restarts == [{"step": 6, "why": "the process was killed"}]
    assert points(curve) == points(expected_curve)
    assert [step for step, row in curve if "train/mel_ce" in row] == list(range(1, 15))
    ours, theirs = (folder.load(f / "best_model.pth")["model"] for f in (tmp_path / "out", expected))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert bytes_of(tmp_path / "out") == bytes_of(expected)  # the facts do not mention the kill


def test_a_state_that_other_code_wrote_is_not_resumed(small_base, dataset, tmp_path, monkeypatch):
    status, _ = run_and_signal(tmp_path, small_base, dataset, 5, signal.SIGTERM)
    assert status > 0
    monkeypatch.setattr(phase, "sha256_of_stage", lambda script: "another code")
    monkeypatch.chdir(tmp_path)
    run_phase(small_base, dataset, tmp_path / "out")
    assert len(list((tmp_path / "state").iterdir())) == 1, "the state of the other code is kept"


@pytest.mark.parametrize("part", ["weights", "ended"])
def test_a_state_of_another_version_is_one_sentence(made_up, tmp_path, monkeypatch, part):
    settings = phase_with(max_steps=2, batch_size=4, eval_every=1)
    train(made_up, settings, tmp_path / "state")
    whole = State.read

    def without(state: State, step: int) -> dict:
        saved = whole(state, step)
        (saved if part in saved else saved["run"]).pop(part)
        return saved

    monkeypatch.setattr(State, "read", without)
    with pytest.raises(UserError, match=r"/state has a state that another version of voicetune wrote; remove this fol"):
        train(made_up, settings, tmp_path / "state")


def bytes_of(path: Path) -> dict[str, str]:
    """SHA-256 of each file of a model folder."""
    return {file.name: files.sha256(file) for file in path.iterdir()}


def facts_file(path: Path) -> dict:
    return json.loads((path / "voicetune.json").read_text(encoding="utf-8"))


def test_the_folder_of_a_phase_has_its_files_and_facts(published, small_base, dataset):
    path, curve = published
    assert {file.name for file in path.iterdir()} == PHASE_FILES
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # no half-written folder beside it
    said = facts_file(path)
    facts = said.pop("facts")
    assert said == facts_file(small_base)
    measured = {step: row["validation/mel_ce"] for step, row in curve if "validation/mel_ce" in row}
    assert list(measured) == [0, 4, 8, 12, 14]
    assert facts["mel_ce_start"] == measured[0]
    assert facts["mel_ce"] == min(measured.values()) == measured[facts["best_step"]]
    assert facts["text_ce"] == curve.of("validation/text_ce")[list(measured).index(facts["best_step"])]
    codes = Codes(dataset / "codes")
    assert facts["data_sha256"] == files.sha256(dataset / "codes" / "codes.safetensors")
    assert facts["parent_sha256"] == files.sha256(small_base / "model.pth")
    assert facts["clip_seconds"] == pytest.approx(sum(codes.clips[i].seconds for i in codes.training), abs=0.06)
    assert (facts["stage"], facts["ended"], facts["steps"], facts["clips"]) == ("train_phase1", "all steps", 14, 10)
    assert facts["base_licence"] == said["licence"]
    assert facts["tokens"] > 14 * 4


def test_training_lowers_the_validation_mel_ce(published):
    _, curve = published
    measured = curve.of("validation/mel_ce")
    assert min(measured) < measured[0] - 0.03


def test_the_state_is_removed_at_the_end(published):
    path, _ = published
    assert not list((path.parents[1] / "state").iterdir())


def test_the_stock_client_loads_the_best_model_strictly(published, tmp_path):
    path = Path(shutil.copytree(published[0], tmp_path / "copy"))
    config = folder.open_config(path)
    client = Xtts(config)
    client.load_checkpoint(config, checkpoint_path=str(path / "best_model.pth"), strict=True)
    assert client.speaker_manager.speaker_names == [SPEAKER]
    voice = client.speaker_manager.speakers[SPEAKER]
    assert voice["gpt_cond_latent"].shape == (1, 32, 64)
    assert voice["speaker_embedding"].shape == (1, 512, 1)


def test_a_copied_folder_speaks(published, tmp_path):
    path = Path(shutil.copytree(published[0], tmp_path / "alone"))
    voice = Voice(path)
    voice.model.xtts.gpt.max_gen_mel_tokens = 30  # an untrained model does not stop
    with torch.no_grad():
        voice.model.xtts.gpt.mel_head.bias[voice.model.xtts.gpt.stop_audio_token] -= 100
    (said,) = say(voice, [Line("Good evening.", "en")], [voice.speaker()], DECODING, seed=1)
    assert said.sound.shape == (30 * 1024,)
    assert np.isfinite(said.sound).all()
    assert np.abs(said.sound).max() > 0
    assert "never stops" in said.left


def test_a_phase_of_adapters_publishes_a_stock_model(small_base, dataset, tmp_path, monkeypatch, saved_at_every_step):
    """This also holds after a kill, when the state holds only the adapters."""
    monkeypatch.chdir(tmp_path)
    low = {"lora_rank": 4, "activation_checkpointing": True, "eval_every": 7, "precision": "32-true"}
    kept = {}

    def kill(step: int, values: dict[str, float], _write: bool) -> None:
        if step == 9 and "train/mel_ce" in values and not kept:
            kept.update(state_of(tmp_path)["weights"])
            raise Killed

    curve = Curve()
    with pytest.raises(Killed):
        run_phase(small_base, dataset, tmp_path / "out", kill, **low)
    run_phase(small_base, dataset, tmp_path / "out", curve, **low)
    assert kept
    assert all(".lora_" in name for name in kept)
    ours, parents = (folder.load_weights(folder.weights_file(f)) for f in (tmp_path / "out", small_base))
    assert ours.keys() == parents.keys()
    changed = {name for name, value in ours.items() if not torch.equal(value, parents[name])}
    assert changed == {n for n in parents if re.fullmatch(r"gpt\.gpt\.h\.\d\.(attn|mlp)\.c_(attn|proj|fc)\.weight", n)}
    loss = TrainingLoss(folder.open_xtts(tmp_path / "out").gpt)  # the published weights have the measured mel CE
    codes = Codes(dataset / "codes")
    measured = cross_entropy.measure(loss, codes, codes.validation, 1, measured_recipe(0.5))
    assert measured.mel_ce == pytest.approx(min(curve.of("validation/mel_ce")), abs=1e-6)


# The state of a phase


class Reached(Exception):
    """Raised instead of running the loop. Its argument is the state's folder."""


@pytest.fixture
def place_of(small_base, dataset, tmp_path, monkeypatch):
    """Return a function that gives the state folder of a phase with changes, such as `place_of(lr=1)`."""

    def reached(job):
        raise Reached(job.state.folder)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "train", reached)

    def find(**changes) -> Path:
        with pytest.raises(Reached) as reason:
            run_phase(small_base, dataset, tmp_path / "out", **changes)
        return reason.value.args[0]

    return find


def test_other_parameters_use_another_state(place_of, tmp_path):
    usual = place_of()
    assert usual.parent == tmp_path / "state"
    assert usual.name.startswith("train_phase1-")
    assert place_of() == usual
    assert len({usual, place_of(lr=2e-3), place_of(batch_size=5), place_of(max_steps=15)}) == 4


def test_a_second_trainer_is_refused(place_of, small_base, dataset, tmp_path):
    place = place_of()
    with state_folders.locked(place):
        with pytest.raises(UserError, match=rf"another training \(process {os.getpid()}\) uses"):
            run_phase(small_base, dataset, tmp_path / "out")
        assert place_of(lr=2e-3) != place
    assert place_of() == place


def test_a_state_is_not_written_through_a_link(tmp_path):
    theirs, place = tmp_path / "theirs", tmp_path / "state"
    place.mkdir()
    theirs.write_bytes(b"mine")
    for name in ("lock", "best-1.pt.part"):
        (place / name).symlink_to(theirs)
    with pytest.raises(UserError, match="lock leads through a link"), state_folders.locked(place):
        pass
    checkpoint.write_beside(place / "best-1.pt", {"w": torch.zeros(1)})
    assert theirs.read_bytes() == b"mine"
    assert not (place / "best-1.pt").is_symlink()


def test_states_of_temporary_experiments_are_in_the_repository(tmp_path):
    assert state_folders.root(tmp_path) == tmp_path / "state"
    assert state_folders.root(tmp_path / ".dvc" / "tmp" / "exps" / "tmpabc") == tmp_path / "state"


def a_state(step: int, best_step: int) -> dict:
    return {"weights": {"w": torch.full((1000,), float(step))}, "best_step": best_step, "run": {"step": step}}


def save(state: State, step: int, best_step: int) -> None:
    value = a_state(step, best_step)
    state.save(value, value["weights"] if step == best_step else None)


@pytest.fixture
def saved(tmp_path) -> State:
    """States of steps 1, 2 and 3. Steps 1 and 2 were the best so far; step 3 was not."""
    state = State(tmp_path / "state")
    state.folder.mkdir()
    for step, best_step in ((1, 1), (2, 2), (3, 2)):
        save(state, step, best_step)
    state.flush()
    return state


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.unlink()
    if how == "torn":
        path.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        path.write_bytes(data[:700] + bytes([data[700] ^ 1]) + data[701:])


def test_the_last_two_states_and_their_best_weights_are_kept(saved):
    assert {path.name for path in saved.folder.iterdir()} == {
        *("step-2.pt", "step-2.json", "step-3.pt", "step-3.json", "best-2.pt"),
    }
    assert loaded(State(saved.folder))["run"]["step"] == 3
    assert torch.equal(saved.best(2)["w"], torch.full((1000,), 2.0))


def test_best_weights_that_no_state_names_are_replaced_by_better_ones(saved):
    """A training that is killed now would resume from step 3 with the best weights of step 2, so they must stay."""
    for step in (4, 5):
        saved.save_best(step, a_state(step, step)["weights"])
    saved.flush()
    names = {path.name for path in saved.folder.iterdir()}
    assert names == {"step-2.pt", "step-2.json", "step-3.pt", "step-3.json", "best-2.pt", "best-5.pt"}
    again = State(saved.folder)
    assert loaded(again)["best_step"] == 2
    assert torch.equal(again.best(2)["w"], torch.full((1000,), 2.0))
    save(saved, 6, 5)
    saved.flush()
    again = State(saved.folder)
    assert (loaded(again)["run"]["step"], loaded(again)["best_step"]) == (6, 5)
    assert torch.equal(again.best(5)["w"], torch.full((1000,), 5.0))


@pytest.mark.parametrize("how", ["torn", "flipped", "gone"])
def test_instead_of_a_damaged_state_the_one_before_is_used(saved, how, capsys):
    damage(saved.folder / "step-3.pt", how)
    again = State(saved.folder)
    assert loaded(again)["run"]["step"] == 2
    assert "step-3.pt is damaged" in capsys.readouterr().out
    again.save(a_state(4, 2), None)  # the new state still names the best weights of step 2
    again.flush()
    assert loaded(State(saved.folder))["run"]["step"] == 4


MANIFESTS = ("", "{", "null", "[]", "{}", '{"step": 3}', '{"step": 3, "best_step": 2, "files": []}',
             '{"step": 3, "best_step": 2, "files": {"../x": {"bytes": 1, "sha256": "a"}}}',
             '{"step": 1e400, "best_step": 2, "files": {}}', '{"step": 3, "best_step": 2, "files": {}}')  # fmt: skip


@pytest.mark.parametrize("content", MANIFESTS)
def test_a_damaged_manifest_is_a_damaged_state(saved, content, capsys):
    manifest = saved.folder / "step-3.json"
    manifest.write_text(content)
    saved._tidy()
    assert loaded(State(saved.folder))["run"]["step"] == 2
    assert "step-3.json is damaged; resuming from an earlier state" in capsys.readouterr().out
    os.mkfifo(manifest)
    (saved.folder / f"step-{'9' * 200}.json").touch()
    (saved.folder / "gone").symlink_to("nowhere")
    assert state_folders._look(saved.folder).step == 3
    assert loaded(State(saved.folder))["run"]["step"] == 2


@pytest.mark.parametrize("how", ["torn", "flipped", "gone"])
def test_without_its_best_weights_no_state_is_loaded(saved, how):
    damage(saved.folder / "best-2.pt", how)
    assert loaded(State(saved.folder)) is None


def test_a_state_without_its_manifest_is_ignored(saved):
    (saved.folder / "step-3.json").unlink()
    (saved.folder / "step-9.pt").write_bytes(b"half of a state")
    assert loaded(State(saved.folder))["run"]["step"] == 2


@pytest.mark.parametrize("call", ["save", "fsync"])
def test_a_full_disk_is_one_sentence_and_keeps_the_earlier_state(saved, monkeypatch, call):
    def full(*arguments):
        if call == "save":
            arguments[1].write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((checkpoint.torch, "save", full) if call == "save" else (durable.os, "fsync", full)))
        save(saved, 4, 4)
        with pytest.raises(UserError, match=r"the disk is full.*the best model is intact"):
            saved.flush()
    assert not list(saved.folder.glob("*.part"))
    again = State(saved.folder)
    assert loaded(again)["run"]["step"] == 3
    assert torch.equal(again.best(2)["w"], torch.full((1000,), 2.0))


def test_a_disk_that_is_too_small_is_reported_before_writing(saved, made_up, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda _: SimpleNamespace(free=51_000_000))
    with pytest.raises(UserError, match=r"has 0\.1 GB free and the state of this training needs"):
        train(made_up, phase_with(), tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


def test_a_saved_state_does_not_change_with_the_training(tmp_path, monkeypatch):
    """Training continues while the state is written."""
    gate = threading.Event()
    write = checkpoint.write_beside
    monkeypatch.setattr(checkpoint, "write_beside", lambda *given: gate.wait(10) and write(*given))
    state, value = State(tmp_path), a_state(1, 1)
    state.save(value, value["weights"])
    value["weights"]["w"] += 5.0
    value["run"]["step"] = 7
    gate.set()
    read = loaded(state)
    assert read["run"]["step"] == 1
    assert torch.equal(read["weights"]["w"], torch.ones(1000))


def test_states_are_listed_and_removed_by_a_command(tmp_path, monkeypatch, capsys):
    root = tmp_path / "state"
    for name in ("train_phase1-aaaaaaaaaaaaaaaa", "train_phase1-bbbbbbbbbbbbbbbb"):
        with state_folders.locked(root / name):
            state = State(root / name)
            save(state, 12, 12)
            state.flush()

    def voicetune(*words: str) -> list[str]:
        given = command_line.parser().parse_args(["states", *words])
        given.run(given)
        return capsys.readouterr().out.splitlines()

    monkeypatch.chdir(tmp_path)
    Path("params.yaml").touch()
    listed = voicetune()
    assert sorted(line.split()[0] for line in listed) == [
        "train_phase1-aaaaaaaaaaaaaaaa",
        "train_phase1-bbbbbbbbbbbbbbbb",
    ]
    assert all("step 12" in line for line in listed)
    in_use = state_folders.locked(root / "train_phase1-aaaaaaaaaaaaaaaa")
    with in_use, pytest.raises(UserError, match=r"-a+' is in use"):
        voicetune("--remove", "all")
    assert len(list(root.iterdir())) == 2
    with pytest.raises(UserError, match=r"there is no state 'train_phase1-cccccccccccccccc'"):
        voicetune("--remove", "train_phase1-cccccccccccccccc")
    assert voicetune("--remove", "train_phase1-aaaaaaaaaaaaaaaa")[0] == "removed train_phase1-aaaaaaaaaaaaaaaa"
    assert [path.name for path in root.iterdir()] == ["train_phase1-bbbbbbbbbbbbbbbb"]


def test_old_states_are_removed_unless_they_are_in_use(tmp_path):
    for number in range(12):
        place = tmp_path / f"train_phase1-{number:016d}"
        place.mkdir()
        (place / "lock").touch()
        (place / "step-3.json").write_text("{}")
        age = number if number < 10 else 40  # days
        for file in place.iterdir():
            os.utime(file, (time.time() - 86400 * age,) * 2)
    with state_folders.locked(tmp_path / "train_phase1-11"):  # old, but in use
        state_folders.tidy(tmp_path)
    left = sorted(int(path.name[-2:]) for path in tmp_path.iterdir())
    assert left == [*range(8), 11]


def test_the_states_of_the_last_day_stay(tmp_path):
    """A sweep that was stopped has as many as it trained at once."""
    for number in range(12):
        (tmp_path / f"train_phase1-{number:016d}").mkdir()
    state_folders.tidy(tmp_path)
    assert len(state_folders.find(tmp_path)) == 12


def test_the_state_of_a_training_that_was_killed_for_good_is_removed(tmp_path):
    names = [f"train_phase1-{number:016d}" for number in range(4)]
    for name, process in zip(names, (11, 11, 12, 11), strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "process").write_text(str(process))
    os.utime(tmp_path / names[1] / "process", (time.time() - 3600,) * 2)  # of an earlier process with this number
    with state_folders.locked(tmp_path / names[3]):
        (tmp_path / names[3] / "process").write_text("11")
        state_folders.remove_of(tmp_path, {11}, time.time() - 60)
    assert sorted(path.name for path in tmp_path.iterdir()) == names[1:]


def test_other_folders_and_links_are_not_states(tmp_path):
    """`state` may be a link to a disk with other folders. A link inside it is not a state."""
    for name in ("photos", "train_phase1-old", "train_phase1-0123456789abcdef"):
        (tmp_path / "disk" / name).mkdir(parents=True)
    (tmp_path / "disk" / "train_phase2-0123456789abcdef").symlink_to(tmp_path / "disk" / "photos")
    (tmp_path / "state").symlink_to(tmp_path / "disk")
    assert [one.folder.name for one in state_folders.find(tmp_path / "state")] == ["train_phase1-0123456789abcdef"]
