"""A model folder that speaks: decoding and vocoding."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from voicetune.errors import UserError
from voicetune.params import reading
from voicetune.params.decoding import Decoding
from voicetune.speech.conditioning import Speaker
from voicetune.speech.decode import decode
from voicetune.xtts import codec, folder
from voicetune.xtts.renderer import STATISTICS, Renderer


@dataclass(frozen=True)
class Line:
    """Something to say. speed: 2 is twice as fast, at the same pitch."""

    text: str
    language: str
    speed: float = 1.0


def seed_of(seed: int, line: Line) -> int:
    """The seed of a line's draws: of its words and language alone, so that no other line changes them."""
    digest = hashlib.sha256(f"{seed}|{line.language}|{line.text}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def language_of(model: Path) -> str:
    """The language that a model folder was published for; English where it does not say."""
    return str(folder.ours(model).get("language", "en"))


def decoding_of(model: Path) -> Decoding:
    """How a model folder says that its codes are drawn; see `publishing.publish`.

    A folder that is not from here, without voicetune.json, is spoken with as the stock client does: by its config.json.

    Raises:
        UserError: it does not say it, or says what is no such thing.
    """
    if not (model / folder.OURS).is_file():
        stock = folder.config(model)
        said = {name: getattr(stock, name) for name in Decoding.model_fields}
        return reading.check(Decoding, said, model / "config.json")
    known = folder.ours(model).get("decoding")
    if not isinstance(known, dict):
        raise UserError(
            f"{model} does not say how to draw its codes; `dvc repro publish` makes models/voice, which does."
        )
    return reading.check(Decoding, known, model / folder.OURS)


class Voice:
    """An opened model folder, on one device."""

    def __init__(self, path: Path, device: str = "cpu"):
        self.path = path
        self.facts = folder.ours(path)  # what is small first, so that a fault in it is said at once
        self.vocoder = self.facts["vocoder"]
        self.tokenizer = folder.tokenizer(path)
        self.dvae, self.mel_stats = folder.open_dvae(path)
        self.renderer = folder.open_renderer(path) if self.vocoder == "renderer" else None
        self.xtts = folder.open_xtts(path)
        self.to(device)

    def to(self, device: str | torch.device) -> None:
        """Move the model."""
        self.device = torch.device(device)
        self.xtts.to(self.device)

    @property
    def most_tokens(self) -> int:
        """A line has fewer text tokens than this."""
        return self.xtts.args.gpt_max_text_tokens

    @property
    def rate(self) -> int:
        """Sample rate in Hz of what is spoken."""
        return self.xtts.args.output_sample_rate if self.vocoder == "hifigan" else codec.SAMPLE_RATE

    @property
    def codec_rate(self) -> int:
        """Sample rate in Hz of recordings and of the audio codes."""
        return codec.SAMPLE_RATE

    @property
    def language(self) -> str:
        """What it was trained to speak; English where its folder does not say."""
        return language_of(self.path)

    @property
    def ours(self) -> bool:
        """Whether its folder has a voicetune.json."""
        return (self.path / folder.OURS).is_file()

    def speakers(self) -> dict[str, Speaker]:
        """Every speaker saved with the folder, by name."""
        return folder.speakers(self.path)

    def decoding(self) -> Decoding:
        """How the folder says that its codes are drawn.

        Raises:
            UserError: it does not say it, or says what is no such thing.
        """
        return decoding_of(self.path)

    def speaker(self, name: str | None = None) -> Speaker:
        """A speaker saved with the folder; without a name, the only one.

        Raises:
            UserError: there is none of that name, or none that the name could leave out.
        """
        saved = self.speakers()
        if name is None and len(saved) == 1:
            return next(iter(saved.values()))
        if name not in saved:
            known = ", ".join(sorted(saved)) or "none"
            raise UserError(
                f"{self.path} has no speaker '{name}'; it has {known}: name one of them, or give a reference."
            )
        return saved[name]

    def codes(
        self,
        lines: Sequence[Line],
        speakers: Sequence[Speaker],
        settings: Decoding,
        seed: int | Sequence[int],
    ) -> list[Tensor]:
        """Audio codes of each line, (codes,) int64; whatever else is said in the same call (see `decode`).

        Args:
            speakers: one a line, as `conditioning.listen` and `speaker` give them.
            seed: the same line, with the same seed, has the same draws; one for all lines, or one a line.

        Raises:
            UserError: a line has characters that the vocabulary lacks, or is too long.
        """
        if not lines:
            return []
        texts = [self.tokens(line) for line in lines]
        latents = torch.cat([speaker["gpt_cond_latent"] for speaker in speakers]).to(self.device)
        seeds = [seed] * len(lines) if isinstance(seed, int) else seed
        draws = [seed_of(own, line) for own, line in zip(seeds, lines, strict=True)]
        return decode(self.xtts.gpt, latents, texts, settings, draws)

    def tokens(self, line: Line) -> Tensor:
        """Text tokens of a line, (t,) int64.

        Raises:
            UserError: the line has characters that the vocabulary lacks, or is too long.
        """
        missing = self.tokenizer.unknown_characters(line.text, line.language)
        if missing:
            raise UserError(
                f"the line '{line.text[:60]}' has {' '.join(missing)}, which this model does not know; change it."
            )
        tokens = self.tokenizer.encode(line.text, line.language)
        if len(tokens) >= self.most_tokens:
            raise UserError(f"the line '{line.text[:60]}' is too long ({len(tokens)} tokens); split it.")
        return torch.from_numpy(tokens).long()

    def takes(self, text: str, language: str) -> bool:
        """Whether a text is short enough to be spoken at once."""
        return len(self.tokenizer.encode(text, language)) < self.most_tokens

    def sound(self, codes: Tensor, line: Line, speaker: Speaker) -> np.ndarray:
        """Sound of one line's codes, as fast as the line says: (samples,) float32 at `rate` Hz."""
        if codes.numel() == 0:
            return np.zeros(0, np.float32)
        if self.renderer:
            return self._render(self.renderer, codes.cpu(), line, speaker)
        if self.vocoder != "hifigan":
            return codec.decode(self.dvae, codes.cpu(), self.mel_stats, line.speed)
        text = self.tokens(line)[None].to(self.device)
        codes = codes.to(self.device)
        if codes.numel() < self.xtts.gpt.max_gen_mel_tokens:  # it stopped; the stock client voices its STOP too
            codes = torch.cat([codes, codes.new_tensor([self.xtts.gpt.stop_audio_token])])
        with torch.inference_mode():
            latents = self.xtts.gpt(
                text,
                torch.tensor([text.shape[1]], device=self.device),
                codes[None],
                torch.tensor([codes.numel() * codec.SAMPLES_PER_CODE], device=self.device),
                cond_latents=speaker["gpt_cond_latent"].to(self.device),
                return_latent=True,
            )
            if line.speed != 1:  # as `Xtts.inference` does
                latents = F.interpolate(latents.mT, scale_factor=1 / line.speed, mode="linear").mT
            wave = self.xtts.hifigan_decoder(latents, g=speaker["speaker_embedding"].to(self.device))
        return wave.cpu().numpy().reshape(-1)

    @torch.inference_mode()
    def _render(self, renderer: Renderer, codes: Tensor, line: Line, speaker: Speaker) -> np.ndarray:
        """Sound by the renderer and Griffin-Lim, on the CPU."""
        codes = codec.known_codes(self.dvae, codes)
        if codes.numel() == 0:
            return np.zeros(0, np.float32)
        embedded = self.dvae.codebook.embed_code(codes[None]).mT
        statistics = speaker["speaker_embedding"][:, :STATISTICS, 0]
        return codec.voice_mel(renderer(embedded, statistics)[0], line.speed)
