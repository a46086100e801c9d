"""Run one training for `bench/versus_stock.py`: the stock trainer's, or ours.

    python bench/versus_stock_sides.py job.json

It reads the job from a file and writes the results to the file that the job names. Both sides train the same GPT from
the same weights on the same clips, with the same number of torch threads, learning rate and schedule, and are measured
by the same validation mel CE. The time begins after the model is loaded and ends with the last step, without the
evaluations in between.
"""

import json
import math
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torchaudio

THREADS = torch.get_num_threads()  # read it now: importing the stock trainer sets it to one for the whole process

from lightning_fabric import Fabric  # noqa: E402
from train_step import Nowhere  # noqa: E402

from voicetune import entry  # noqa: E402
from voicetune.data.codes import FRAMES_PER_SECOND, Codes  # noqa: E402
from voicetune.device import choose_device  # noqa: E402
from voicetune.errors import UserError  # noqa: E402
from voicetune.measures import cross_entropy  # noqa: E402
from voicetune.model import measured_recipe  # noqa: E402
from voicetune.params import whole  # noqa: E402
from voicetune.params.training import Phase  # noqa: E402
from voicetune.params.whole import Params  # noqa: E402
from voicetune.training import loop  # noqa: E402
from voicetune.training.job import Job as TrainingJob  # noqa: E402
from voicetune.training.optimization import learning_rate  # noqa: E402
from voicetune.xtts import codec, encoding, folder  # noqa: E402
from voicetune.xtts.gpt import TrainingLoss, set_dropout  # noqa: E402

NEVER = 10**9
SIX_SECONDS = 6.0  # the stock trainer's references always have this length, padded with silence
ENCODED = 8  # clips on which the one-off cost of `encode` is measured
Job = dict[str, Any]
Row = dict[str, Any]
Measure = Callable[[], cross_entropy.CrossEntropy]


class SixSeconds(Codes):
    """Codes whose conditioning mels last at least six seconds. A shorter clip is repeated."""

    def mel(self, clip: int) -> np.ndarray:
        """Conditioning mel: (frames, 80) float16."""
        mel = super().mel(clip)
        missing = math.ceil(SIX_SECONDS * FRAMES_PER_SECOND) - len(mel)
        return np.pad(mel, ((0, missing), (0, 0)), mode="wrap") if missing > 0 else mel


class Clock:
    """The loop's log. It adds up the seconds of the steps, and evaluates every few steps without counting that time."""

    def __init__(self, measure: Measure, every: int, steps: int):
        self.measure, self.every, self.steps = measure, every, steps
        self.seconds, self.since, self.memory = 0.0, 0.0, 0.0
        self.curve: list[tuple[int, float, float]] = []  # step, seconds until then, validation mel CE

    def __call__(self, step: int, row: dict[str, float], _write: bool) -> None:
        if "train/mel_ce" in row:
            synchronize()
            self.seconds += time.perf_counter() - self.since
            self.memory = max(self.memory, memory_gib())
            if step % self.every == 0 or step == self.steps:
                self.last = self.measure()
                self.curve.append((step, self.seconds, self.last.mel_ce))
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()  # the peak of the steps, not of the evaluation
        self.since = time.perf_counter()


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def memory_gib() -> float:
    """The peak so far in GiB: memory that torch allocated on a GPU, otherwise the resident set of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def open_codes(job: Job, kind: type[Codes] = Codes) -> Codes:
    """The encoded clips without the training clips of an incomplete batch, so that every step has the same number."""
    codes = kind(Path(job["codes"]))
    whole = len(codes.training) // job["batch"] * job["batch"]
    if not whole:
        raise UserError(f"{job['codes']} has {len(codes.training)} training clips; choose a smaller --batch.")
    codes.training = codes.training[:whole]
    return codes


def phase_of(job: Job, settings: Params) -> Phase:
    """Phase 1 of params.yaml with the given number of steps. The script itself does the evaluations."""
    changes: dict[str, Any] = {
        "batch_size": job["batch"], "accumulate": 1, "epochs": 100_000, "max_steps": job["steps"], "log_every": 1,
        "eval_every": NEVER, "target_mel_ce": None, "patience": None,
    }  # fmt: skip
    if job["side"] == "six":
        six = (SIX_SECONDS, SIX_SECONDS)
        changes |= {"reference": "other", "shared_reference": False, "reference_seconds": six}
    return settings.train_phase1.model_copy(update=changes)


def measure_of(loss: TrainingLoss, job: Job, settings: Params) -> Measure:
    """The validation cross entropy of a GPT, measured in our way, with the same clips and references for both sides."""
    codes = open_codes(job)
    recipe = measured_recipe(settings.conditioning_seconds)
    return lambda: cross_entropy.measure(loss, codes, codes.validation, job["seed"], recipe)


def ours(job: Job, settings: Params, device: str) -> Row:
    """Run our loop without checkpoints, because the stock side has none either."""
    phase = phase_of(job, settings)
    loss = TrainingLoss(folder.open_xtts(Path(job["model"])).gpt).to(device)
    measure = measure_of(loss, job, settings)
    before = {"start_mel_ce": measure().mel_ce, "conditioned": is_conditioned(loss, job)}
    clock = Clock(measure, job["eval_every"], job["steps"])
    torch.backends.cuda.matmul.allow_tf32 = True
    training = TrainingJob(
        loss=loss,
        codes=open_codes(job, SixSeconds if job["side"] == "six" else Codes),
        phase=phase,
        seed=job["seed"],
        measured=measured_recipe(settings.conditioning_seconds),
        fabric=Fabric(accelerator=device, devices=1, precision=phase.precision),
        state=Nowhere(Path("nowhere")),
        log=clock,
    )
    _, run = loop.train(training)
    row = figures(job, loss, clock.seconds, run.tokens, clock.memory, clock.last)
    return {**row, **before, "curve": clock.curve, "precision": phase.precision, **encode_cost(job)}


@torch.no_grad()
def is_conditioned(loss: TrainingLoss, job: Job) -> bool:
    """Whether two references give the GPT that both start from different latents. If not, references change nothing."""
    codes, device = open_codes(job), next(loss.parameters()).device
    mels = [codes.mel(clip).astype(np.float32).T for clip in codes.training[:2]]
    frames = min(mel.shape[1] for mel in mels)
    latents = loss.network.get_style_emb(torch.from_numpy(np.stack([mel[:, :frames] for mel in mels])).to(device))
    return bool((latents[0] != latents[-1]).any())


def encode_cost(job: Job) -> Row:
    """Seconds that `encode` takes for a clip, once for a dataset, and whether it gives the codes in data/codes.

    It does not if data/codes was made with another model's vocabulary or DVAE. Then the mel CEs here mean nothing.
    """
    codes, model = Codes(Path(job["codes"])), Path(job["model"])
    words, (dvae, mel_stats) = folder.open_tokenizer(model), folder.open_dvae(model)
    some = np.linspace(0, len(codes) - 1, min(ENCODED, len(codes)) + 1).astype(int)
    seconds, same = [], []
    for i in some:
        started = time.perf_counter()
        samples, _ = soundfile.read(Path(job["clips"]) / codes.clips[i].file, dtype="float32")
        one = encoding.encode_clip(codes.clips[i], samples, words, dvae, mel_stats)
        seconds.append(time.perf_counter() - started)
        fits = np.array_equal(one.tokens, codes.tokens(i)) and one.codes.size == codes.codes(i).size
        same.append(bool(fits) and float((one.codes == codes.codes(i)).mean()) > 0.9)
    return {"encode_seconds_a_clip": float(np.median(seconds[1:])), "clips_encoded": len(codes), "codes_fit": all(same)}


def stock(job: Job, settings: Params, device: str) -> Row:
    """Run the stock trainer's loader, batch formatting, loss and optimizer, without its logs and checkpoints.

    The recipe has GPT-2's dropout of 0.1 and clips no gradients. The side `control` has phase 1's dropout and clipping
    instead, so that a difference is not due to these two settings.

    Source: coqui-tts 0.28.0 `TTS/tts/layers/xtts/trainer/gpt_trainer.py`; coqui-tts-trainer 0.4.0 `trainer.py`,
    `format_batch` and `optimize`, whose order of calls this is.
    """
    phase = phase_of(job, settings)
    trainer = stock_trainer(job, phase).to(device)
    loader = trainer.get_data_loader(trainer.config, samples=stock_samples(job), verbose=False)
    optimizer, counted, control = trainer.get_optimizer(), [], job["side"] == "control"
    if control:
        set_dropout(trainer.xtts.gpt, phase.dropout)
    trainer.on_train_epoch_start(type("Outer", (), {"model": trainer}))  # all parts in evaluation mode, except the GPT
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    started, batches = time.perf_counter(), forever(loader)
    for step in range(job["steps"]):
        batch = next(batches)
        batch = trainer.format_batch(batch)
        batch = {k: v.to(device, non_blocking=True) if torch.is_tensor(v) else v for k, v in batch.items()}
        batch = trainer.format_batch_on_device(batch)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(phase, step, job["steps"])
        trainer.train_step(batch, None)[1]["loss"].backward()
        if control:
            torch.nn.utils.clip_grad_norm_(trainer.xtts.gpt.parameters(), phase.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        counted.append([batch[name] for name in ("text_lengths", "wav_lengths", "cond_idxs")])
    synchronize()
    seconds, memory = time.perf_counter() - started, memory_gib()
    loss = TrainingLoss(trainer.xtts.gpt)
    tokens = sum(stock_tokens(*lengths) for lengths in counted)
    measured = measure_of(loss, job, settings)()
    return {**figures(job, loss, seconds, tokens, memory, measured), "precision": "32-true"}


def stock_trainer(job: Job, phase: Phase):
    """The stock trainer with the recipe's settings and with the model's own sizes and weights."""
    from TTS.tts.layers.xtts.trainer import gpt_trainer

    torch.set_num_threads(THREADS)
    torchaudio.load = read_sound
    model = Path(job["model"])
    gpt_trainer.DiscreteVAE = lambda **_: folder.open_dvae(model)[0]  # the stock sizes fit only one model
    known = folder.open_config(model)
    sizes = {field.name: getattr(known.model_args, field.name) for field in fields(known.model_args)}
    files = {"tokenizer_file": "vocab.json", "mel_norm_file": "mel_stats.pth", "dvae_checkpoint": "dvae.pth"}
    files = {name: str(model / file) for name, file in files.items()}
    arguments = gpt_trainer.GPTArgs(
        **(sizes | files), min_conditioning_length=66150, max_conditioning_length=132300, max_wav_length=255995,
        max_text_length=200, gpt_loss_text_ce_weight=phase.text_weight,
    )  # fmt: skip
    config = gpt_trainer.GPTTrainerConfig(
        model_args=arguments, audio=known.audio, batch_size=job["batch"], num_loader_workers=job["workers"],
        training_seed=job["seed"], lr=phase.lr, optimizer="AdamW", optimizer_wd_only_on_weights=True,
        optimizer_params={"betas": [0.9, 0.96], "eps": 1e-8, "weight_decay": phase.weight_decay},
    )  # fmt: skip
    trainer = gpt_trainer.GPTTrainer(config)
    # Its own `xtts_checkpoint` is not used, because it may rewrite the file that it reads.
    trainer.xtts.load_state_dict(
        folder.select_xtts_weights(folder.load_weights(folder.weights_file(model))), strict=True
    )
    return trainer


def read_sound(path: str) -> tuple[torch.Tensor, int]:
    """Replaces `torchaudio.load`, which needs a system FFmpeg and is slower: (1, samples) float32, rate in Hz."""
    samples, rate = soundfile.read(path, dtype="float32")
    return torch.from_numpy(samples)[None], rate


def stock_samples(job: Job) -> list[Row]:
    """The training clips in the form of the stock formatters, from wav files."""
    codes = open_codes(job)
    chosen = [codes.clips[i] for i in codes.training]
    return [
        {"audio_file": f"{job['wavs']}/{c.id}.wav", "text": c.text, "language": c.language, "speaker_name": c.speaker}
        for c in chosen
    ]


def forever(loader) -> Iterator[Row]:
    while True:
        yield from loader


def stock_tokens(text_lengths: torch.Tensor, wav_lengths: torch.Tensor, slices: torch.Tensor) -> int:
    """The number of tokens in a batch that the stock trainer trains on: text and codes with one stop each, as in ours.
    Codes that its mask hides in the last clip are subtracted (`GPT.forward` has turned `slices` into frames)."""
    audio = -(-wav_lengths // codec.SAMPLES_PER_CODE) + 1
    start, end = slices[-1].clamp(max=int(audio[-1]))
    return int((text_lengths + 1).sum() + audio.sum() - (end - start))


def figures(
    job: Job, loss: TrainingLoss, seconds: float, tokens: int, memory: float, measured: cross_entropy.CrossEntropy
) -> Row:
    """The results of a side: seconds and tokens of the training, peak GiB, and the nats of each validation clip."""
    if not math.isfinite(measured.mel_ce):
        raise UserError(f"the {job['side']} side's validation mel CE is not a finite number; lower train_phase1.lr.")
    return {
        "seconds": seconds,
        "clips": job["steps"] * job["batch"],
        "tokens": tokens,
        "memory_gib": memory,
        "mel_ce": measured.mel_ce,
        "mel": measured.mel.tolist(),
        "mel_tokens": measured.mel_tokens.tolist(),
        "parameters": sum(p.numel() for p in loss.parameters()),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if next(loss.parameters()).is_cuda else "cpu",
        "bf16_peak": bf16_peak() if next(loss.parameters()).is_cuda else None,
    }


def bf16_peak(size: int = 8192, times: int = 30) -> float:
    """Measure the floating-point operations a second of a square bf16 matrix product on this GPU."""
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        a @ b
    synchronize()
    started = time.perf_counter()
    for _ in range(times):
        a @ b
    synchronize()
    return 2 * size**3 * times / (time.perf_counter() - started)


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    settings = whole.load(Path(job["params"]))
    random.seed(job["seed"])
    np.random.seed(job["seed"])
    torch.manual_seed(job["seed"])
    torch.set_num_threads(THREADS)
    side = stock if job["side"] in ("stock", "control") else ours
    row = side(job, settings, choose_device(job["device"]))
    Path(job["out"]).write_text(json.dumps(row), encoding="utf-8")


if __name__ == "__main__":
    entry.run(main)
