"""Stage denoise: train the encoder to give a disturbed recording the codes of the clean one.

A real recording has another microphone, loudness, bandwidth and noise than the synthesisers' speech. Without this
stage, quiet noise alone changed nearly all codes, and the GPT predicted them worse than chance. The codebook and the
renderer stay as they are. So clean speech keeps most of its codes.

The loss compares the encoder's latents with those of the encoder before this stage, which hears the clean mel: their
mean squared error, and the cross entropy of the nearest code (as in Gat et al. 2023, arXiv:2209.15483, but with latents
instead of CTC).
"""

import copy
import json

import common
import numpy as np
import soundfile
import torch
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from voicetune.data import clip
from voicetune.xtts import codec, origins
from voicetune.xtts.renderer import statistics_of

FLOOR = float(np.log(1e-5))
ENCODER = "encoder."
_SHORTEST = 64  # frames of a clip that is used


def disturb(mel: Tensor, mean: Tensor, rng: np.random.Generator) -> Tensor:
    """Change a log mel (80, frames) as another microphone and room would. A quarter of the segments stay clean.

    Args:
        mean: the mean of each band over the clip's louder frames, (80,). The noise is relative to its level.
    """
    if rng.random() < 0.25:
        return mel
    if rng.random() < 0.7:  # frequency response and loudness
        curve = np.interp(np.arange(80), np.linspace(0, 79, 6), rng.normal(0, 0.7, 6)) + rng.normal(0, 0.7)
        mel, mean = mel + _column(curve), mean + torch.from_numpy(curve).float()
    if rng.random() < 0.3:  # bandwidth: 3.5 nats for every four bands above the edge
        edge = int(rng.integers(55, 80))
        mel = mel - _column(0.8 * np.maximum(np.arange(80) - edge + 1, 0))
    if rng.random() < 0.6:  # steady noise, 4 to 30 dB below the voice
        shape = np.interp(np.arange(80), np.linspace(0, 79, 4), rng.normal(0, 0.7, 4))
        level = _column(np.exp(float(mean.mean()) + rng.uniform(-7, -1) + shape))
        mel = torch.log(mel.exp() + level * torch.from_numpy(rng.gamma(2.0, 0.5, mel.shape)).float())
    return mel.clamp(min=FLOOR)


def _column(bands: np.ndarray) -> Tensor:
    return torch.from_numpy(bands).float()[:, None]


def draw(mels: list[Tensor], means: list[Tensor], frames: int, count: int, rng: np.random.Generator):
    """Draw clean segments and their disturbed copies, each (count, 80, frames)."""
    lengths = np.array([mel.shape[1] for mel in mels], float)
    clean, disturbed = [], []
    for i in rng.choice(len(mels), count, p=lengths / lengths.sum()):
        start = int(rng.integers(max(1, mels[i].shape[1] - frames + 1)))
        mel = mels[i][:, start : start + frames].float()
        mel = F.pad(mel, (0, frames - mel.shape[1]), value=FLOOR)
        clean.append(mel)
        disturbed.append(disturb(mel, means[i], rng))
    return torch.stack(clean), torch.stack(disturbed)


def distances(latents: Tensor, codebook: Tensor) -> Tensor:
    """Squared distances of latents (..., d) to all codes (d, codes): (..., codes)."""
    return latents.square().sum(-1, keepdim=True) - 2 * latents @ codebook + codebook.square().sum(0)


def train(dvae, mel_stats: Tensor, mels: list[Tensor], settings: dict, seed: int) -> None:
    """Train the DVAE's encoder in place. The segments of a step depend on the seed and the step's number alone."""
    before, codebook = copy.deepcopy(dvae.encoder), dvae.codebook.embed
    means = [statistics_of(mel.float())[:80] for mel in mels]
    temperature = codebook.var(1).sum() / 4
    optimizer = torch.optim.AdamW(dvae.encoder.parameters(), lr=settings["lr"], betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings["lr"], settings["steps"], pct_start=0.1)
    frames = settings["codes_per_segment"] * codec.FRAMES_PER_CODE
    for step in range(1, settings["steps"] + 1):
        rng = np.random.default_rng([seed, step])
        clean, disturbed = draw(mels, means, frames, settings["batch_size"], rng)
        with torch.no_grad():
            wanted = before(clean / mel_stats[:, None]).mT
            codes = distances(wanted, codebook).argmin(-1)
        latents = dvae.encoder(disturbed / mel_stats[:, None]).mT
        logits = -distances(latents, codebook) / temperature
        error = (latents - wanted).square().mean() / wanted.var()
        loss = error + 0.3 * F.cross_entropy(logits.flatten(0, 1), codes.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(dvae.encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == settings["steps"]:
            same = (logits.argmax(-1) == codes).float().mean()
            print(f"step {step}/{settings['steps']}: error {error:.4f}, same codes {same:.3f}", flush=True)


def hear(settings: dict, seed: int) -> list[Tensor]:
    """The log mels of `clips` training clips, each (80, frames) float16."""
    folder = common.WORK / "clips"
    training = [c for c in clip.read(folder / "clips.csv") if c.split == "train"]
    order = np.random.default_rng(seed).permutation(len(training))[: settings["clips"]]
    found = []
    for i in track(order, "mels"):
        samples, _ = soundfile.read(folder / training[i].file, dtype="float32")
        found.append(codec.log_mel(torch.from_numpy(samples)[None])[0].half())
    return [mel for mel in found if mel.shape[1] >= _SHORTEST]


def main() -> None:
    params = common.params()
    settings, seed = params["denoise"], params["seed"]
    torch.manual_seed(seed)
    state, mel_stats = origins.bundle_dvae(common.WORK / "dvae")
    dvae = codec.build_dvae(**json.loads((common.PARTS / "dvae.json").read_text()))
    dvae.load_state_dict(state, strict=False)
    train(dvae, mel_stats, hear(settings, seed), settings, seed)
    halves = load_file(common.WORK / "dvae" / "dvae.safetensors")
    halves |= {n: v.half().contiguous() for n, v in dvae.state_dict().items() if n.startswith(ENCODER)}
    save_file(halves, common.PARTS / "dvae.safetensors")


if __name__ == "__main__":
    common.run(main)
