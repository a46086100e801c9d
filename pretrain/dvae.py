"""Stage dvae: mel statistics and a small discrete VAE, trained on random segments.

Codes that few frames fall to are set anew from the data every `revive_every` steps until
`revive_until`; without that all but some fifty of the 1024 go out of use within 400 steps.
"""

import json

import common
import numpy as np
import soundfile
import torch
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor

from voicetune.data import clip
from voicetune.xtts import codec

# Of the codebook's running mean of frames a step; a code in fair use has about 1.
UNUSED, FRESH = 0.1, 0.3


def log_mels(limit_hours: float = 2.0) -> list[Tensor]:
    """Log mel spectrograms of training clips, each (80, frames) float32."""
    clips = [c for c in clip.read(common.WORK / "short" / "clips" / "clips.csv") if c.split == "train"]
    mels, seconds = [], 0.0
    for c in track(clips, "mels"):
        samples, _ = soundfile.read(common.WORK / "short" / "clips" / c.file, dtype="float32")
        mels.append(codec.log_mel(torch.from_numpy(samples)[None])[0])
        seconds += c.seconds
        if seconds > limit_hours * 3600:
            break
    return mels


def segments(mels: list[Tensor], frames: int, count: int, rng: np.random.Generator) -> Tensor:
    """Random segments, (count, 80, frames)."""
    out = []
    while len(out) < count:
        mel = mels[int(rng.integers(len(mels)))]
        if mel.shape[1] > frames:
            start = int(rng.integers(mel.shape[1] - frames))
            out.append(mel[:, start : start + frames])
    return torch.stack(out)


def revive(dvae, latents: Tensor) -> int:
    """Give every unused code the place of a random latent; returns how many were unused."""
    book = dvae.codebook
    unused = (book.cluster_size < UNUSED).nonzero()[:, 0]
    picks = latents[torch.randint(len(latents), (len(unused),))] + 0.01 * torch.randn(len(unused), latents.shape[1])
    book.embed[:, unused] = picks.T
    book.embed_avg[:, unused] = picks.T * FRESH
    book.cluster_size[unused] = FRESH
    return len(unused)


def main() -> None:
    params = common.params()
    settings, seed = params["dvae"], params["seed"]
    sizes = {name: settings[name] for name in ("num_tokens", "hidden_dim", "codebook_dim", "num_resnet_blocks")}
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    mels = log_mels()
    stats = torch.cat(mels, 1).square().mean(1).sqrt()
    mels = [mel / stats[:, None] for mel in mels]
    dvae = codec.build_dvae(**sizes)
    optimizer = torch.optim.AdamW(dvae.parameters(), lr=settings["lr"], betas=(0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings["lr"], settings["steps"], pct_start=0.05)
    frames = settings["codes_per_segment"] * codec.FRAMES_PER_CODE
    print(f"DVAE of {sum(p.numel() for p in dvae.parameters()) / 1e6:.2f} M parameters")
    for step in range(1, settings["steps"] + 1):
        mel = segments(mels, frames, settings["batch_size"], rng)
        dvae.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=False):
            loss, commitment, _ = dvae(mel)
        total = loss.mean() + 0.25 * commitment
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(dvae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % settings["revive_every"] == 20 and step < settings["revive_until"]:
            with torch.no_grad():
                latents = dvae.encoder(segments(mels, frames, 64, rng)).permute(0, 2, 1).flatten(0, 1)
                print(f"step {step}: {revive(dvae, latents)} codes were unused")
        if step % 100 == 0:
            used = int((dvae.codebook.cluster_size > UNUSED).sum())
            print(
                f"step {step}: reconstruction {loss.mean():.5f}, commitment {commitment:.4f}, {used} codes used",
                flush=True,
            )
    common.BUNDLE.mkdir(exist_ok=True)
    state = {
        name: value.half().contiguous() for name, value in dvae.state_dict().items() if "discrete_loss" not in name
    }
    save_file(state | {"mel_stats": stats.contiguous()}, common.BUNDLE / "dvae.safetensors")
    (common.BUNDLE / "dvae.json").write_text(json.dumps(sizes, indent=2) + "\n")


if __name__ == "__main__":
    common.run(main)
