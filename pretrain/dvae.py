"""Stage dvae: train the stock DVAE's encoder and codebook with the renderer on random segments; take mel statistics.

The codes have 215 bits a second. Two things let them carry a voice that was not in the training. First, the renderer
is given the voice's mel statistics, so the codes need not contain them. Second, a layer on top of the codes predicts
the phoneme symbol that Kokoro was speaking, so the codes keep above all what distinguishes sounds. That layer is
dropped after the training.

An interrupted run resumes from work/state-dvae.pt, which is saved every 200 steps.
"""

import json
import time
from dataclasses import dataclass

import common
import numpy as np
import soundfile
import torch
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from voicetune.data import clip
from voicetune.data.clip import Clip
from voicetune.xtts import codec
from voicetune.xtts.renderer import PREFIX, Renderer, statistics_of

STATE = common.WORK / "state-dvae.pt"
OUT = common.WORK / "dvae"  # stage denoise goes on from it
SYMBOLS = 178  # phoneme symbols of Kokoro
UNKNOWN = -100  # a frame whose symbol is not known
UNUSED, FRESH = 0.1, 0.3  # of `cluster_size`, a code's running mean of latents a step; with even use it is about 1
FLOOR = float(np.log(1e-5))
_VOICE_CLIPS = 40  # clips that a voice's statistics are taken from
_SAVE = 200  # steps between saves


@dataclass(frozen=True)
class Heard:
    """A clip to train on.

    mel: (80, frames) float16, natural log. symbols: (frames,) int64, UNKNOWN where the synthesiser reports none.
    """

    voice: str
    mel: Tensor
    symbols: Tensor


def hear(chosen: list[Clip]) -> list[Heard]:
    """Compute the mel spectrograms of clips, and the symbol that is spoken at each frame."""
    folder = common.WORK / "clips"
    sounds = json.loads((folder / "sounds.json").read_text())
    found = []
    for c in track(chosen, "mels"):
        samples, _ = soundfile.read(folder / c.file, dtype="float32")
        mel = codec.log_mel(torch.from_numpy(samples)[None])[0]
        found.append(Heard(c.speaker, mel.half(), symbols_at(sounds.get(c.id), mel.shape[1])))
    return found


def symbols_at(sounds: list[list[float]] | None, frames: int) -> Tensor:
    """The symbol of each frame, (frames,) int64. sounds: number and first second of each symbol."""
    if not sounds:
        return torch.full((frames,), UNKNOWN)
    numbers, begins = np.array([s[0] for s in sounds], np.int64), np.array([s[1] for s in sounds])
    moments = np.arange(frames) * codec.HOP / codec.SAMPLE_RATE
    return torch.from_numpy(numbers[np.maximum(np.searchsorted(begins, moments, side="right") - 1, 0)])


class Codec(nn.Module):
    """The parts that train together: the stock encoder and codebook, the renderer, the layer that predicts symbols."""

    scale: Tensor

    def __init__(self, sizes: dict[str, int], widths: list[int], blocks: list[int], scale: Tensor):
        super().__init__()
        self.dvae = codec.build_dvae(**sizes)
        del self.dvae.decoder  # the renderer replaces it
        self.renderer = Renderer(sizes["codebook_dim"], (*widths,), (*blocks,))  # type: ignore[arg-type]
        self.name_sounds = nn.Conv1d(sizes["codebook_dim"], SYMBOLS * codec.FRAMES_PER_CODE, 5, padding=2)
        self.register_buffer("scale", scale)  # the bundle's mel_stats, (80,)

    def forward(self, mel: Tensor, voice: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute the losses.

        Args:
            mel: log mels (b, 80, frames).
            voice: statistics of each segment's voice (b, 160).
            symbols: (b, frames).

        Returns:
            the mean absolute error of the rendered mel, in standard deviations of each band; the commitment loss; the
            cross entropy of the symbols; and the latents (b, codes, d).
        """
        latents = self.dvae.encoder(mel / self.scale[:, None]).mT
        quantised, _, commitment = self.dvae.codebook(latents)
        rendered = self.renderer(quantised.mT, voice)
        distance = ((rendered - mel).abs() / self.renderer.spread[:, None]).mean()
        named = self.name_sounds(quantised.mT).unflatten(1, (SYMBOLS, codec.FRAMES_PER_CODE)).mT.flatten(2)
        return distance, commitment, F.cross_entropy(named, symbols, ignore_index=UNKNOWN), latents


class Segments:
    """Draws batches of segments. Some get the sound of another microphone or room, see `elsewhere`."""

    def __init__(self, heard: list[Heard], frames: int):
        self.heard, self.frames = heard, frames
        lengths = np.array([max(h.mel.shape[1], 40) for h in heard], float)
        self.shares = lengths / lengths.sum()
        self.voices = {}
        for name in sorted({h.voice for h in heard}):
            mels = [h.mel.float() for h in heard if h.voice == name][:_VOICE_CLIPS]
            self.voices[name] = statistics_of(torch.cat(mels, 1))

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw log mels (count, 80, frames), statistics of their voices (count, 160) and symbols (count, frames)."""
        mels, voices, symbols = [], [], []
        for i in rng.choice(len(self.heard), count, p=self.shares):
            one = self.heard[i]
            start = int(rng.integers(max(1, one.mel.shape[1] - self.frames + 1)))
            mel, said = (part[..., start : start + self.frames] for part in (one.mel.float(), one.symbols))
            short = self.frames - mel.shape[1]
            mel, voice = elsewhere(F.pad(mel, (0, short), value=FLOOR), self.voices[one.voice], rng)
            mels.append(mel)
            voices.append(voice)
            symbols.append(F.pad(said, (0, short), value=UNKNOWN))
        return torch.stack(mels), torch.stack(voices), torch.stack(symbols)


def elsewhere(mel: Tensor, voice: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Change a segment and its voice's statistics as if it had been recorded elsewhere.

    Another microphone adds a smooth curve over the bands, with probability 0.6. Another room adds steady noise, with
    probability 0.4.
    """
    mean, spread = voice.chunk(2)
    if rng.random() < 0.6:
        curve = np.interp(np.arange(80), np.linspace(0, 79, 6), rng.normal(0, 0.6, 6))
        mel, mean = mel + torch.from_numpy(curve).float()[:, None], mean + torch.from_numpy(curve).float()
    if rng.random() < 0.4:
        level = torch.from_numpy(np.exp(np.linspace(rng.uniform(-11, -5), rng.uniform(-11, -5), 80))).float()
        moving = level[:, None] * torch.from_numpy(rng.uniform(0.25, 1.75, mel.shape)).float()
        mel, mean = torch.log(mel.exp() + moving), torch.log(mean.exp() + level)
    return mel.clamp(min=FLOOR), torch.cat([mean, spread])


def revive(book, latents: Tensor, rng: np.random.Generator) -> int:
    """Move each little-used code to a random latent, and return how many were moved.

    Without this, all but about fifty codes go out of use within 400 steps.
    """
    unused = (book.cluster_size < UNUSED).nonzero()[:, 0]
    noise = torch.from_numpy(rng.normal(0, 0.01, (len(unused), latents.shape[1]))).float()
    picks = latents[torch.from_numpy(rng.integers(len(latents), size=len(unused)))] + noise
    book.embed[:, unused] = picks.T
    book.embed_avg[:, unused] = picks.T * FRESH
    book.cluster_size[unused] = FRESH
    return len(unused)


def train(model: Codec, segments: Segments, settings: dict, seed: int) -> None:
    """Train for all steps. The segments of a step depend on the seed and the step's number alone."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["lr"], betas=(0.9, 0.99), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings["lr"], settings["steps"], pct_start=0.08)
    begin, started = 0, time.monotonic()
    clips = common.WORK / "clips"
    made_by = common.fingerprint([settings, seed], clips / "clips.csv", clips / "sounds.json")
    saved = torch.load(STATE, weights_only=True) if STATE.is_file() else {}
    if saved.get("made_by") == made_by:
        begin = saved["step"]
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        print(f"resuming from step {begin} of {settings['steps']}")
    for step in range(begin + 1, settings["steps"] + 1):
        rng = np.random.default_rng([seed, step])
        model.train()
        distance, commitment, sounds, latents = model(*segments.draw(settings["batch_size"], rng))
        total = distance + 0.25 * commitment + (settings["sound_weight"] * sounds if sounds.isfinite() else 0.0)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % settings["revive_every"] == settings["revive_every"] // 2 and step < settings["revive_until"]:
            with torch.no_grad():
                revive(model.dvae.codebook, latents.flatten(0, 1), rng)
        if step % 100 == 0 or step == settings["steps"]:
            used = int((model.dvae.codebook.cluster_size > UNUSED).sum())
            print(
                f"step {step}/{settings['steps']}: distance {distance:.4f}, commitment {commitment:.4f},"
                f" sounds {sounds:.3f}, {used} codes used, {time.monotonic() - started:.0f} s",
                flush=True,
            )
        if step % _SAVE == 0:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            part = STATE.with_suffix(".part")
            torch.save({**state, "schedule": schedule.state_dict(), "step": step, "made_by": made_by}, part)
            part.replace(STATE)


def main() -> None:
    params = common.params()
    settings, seed = params["dvae"], params["seed"]
    sizes = {name: settings[name] for name in ("num_tokens", "hidden_dim", "codebook_dim", "num_resnet_blocks")}
    torch.manual_seed(seed)
    training = [c for c in clip.read(common.WORK / "clips" / "clips.csv") if c.split == "train"]
    order = np.random.default_rng(seed).permutation(len(training))[: settings["clips"]]
    heard = hear([training[i] for i in order])
    frames = torch.cat([h.mel[:, ::4].float() for h in heard], 1)
    model = Codec(sizes, settings["widths"], settings["blocks"], frames.square().mean(1).sqrt())
    model.renderer.mean.copy_(frames.mean(1))
    model.renderer.spread.copy_(frames.std(1))
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {len(heard)} clips")
    train(model, Segments(heard, settings["codes_per_segment"] * codec.FRAMES_PER_CODE), settings, seed)
    dvae = {n: v for n, v in model.dvae.state_dict().items() if n.startswith(("encoder.", "codebook."))}
    state = dvae | {f"{PREFIX}{name}": value for name, value in model.renderer.state_dict().items()}
    common.PARTS.mkdir(parents=True, exist_ok=True)
    OUT.mkdir(exist_ok=True)
    halves = {name: value.half().contiguous() for name, value in state.items()}
    save_file(halves | {"mel_stats": model.scale.contiguous()}, OUT / "dvae.safetensors")
    (common.PARTS / "dvae.json").write_text(json.dumps(sizes, indent=2) + "\n")
    STATE.unlink(missing_ok=True)


if __name__ == "__main__":
    common.run(main)
