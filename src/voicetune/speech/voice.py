"""Speak with a model folder: decoding and vocoding."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """Derive the seed of a line's draws from `seed`, its words and its language, so that no other line changes them."""
    digest = hashlib.sha256(f"{seed}|{line.language}|{line.text}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def language_of(model: Path) -> str:
    """The language that a model folder was published for; English if voicetune.json names none."""
    return str(folder.ours(model).get("language", "en"))


def decoding_of(model: Path) -> Decoding:
    """The decoding settings of a model folder, which `publishing.publish` writes.

    A folder without voicetune.json was not made by this project. Its settings come from its config.json, as in the
    stock client.

    Raises:
        UserError: the folder has no decoding settings, or they are not valid.
    """
    if not (model / folder.OURS).is_file():
        stock = folder.config(model)
        said = {name: getattr(stock, name) for name in Decoding.model_fields}
        return _checked(said, model / "config.json")
    known = folder.ours(model).get("decoding")
    if not isinstance(known, dict):
        raise UserError(
            f"{model}/{folder.OURS} has no 'decoding'; speak with models/voice, which `dvc repro publish` makes."
        )
    return _checked(known, model / folder.OURS)


def _checked(values: dict[str, Any], path: Path) -> Decoding:
    """The decoding settings that a file of a model folder holds; the remedy for a fault is the model's, not a key's."""
    try:
        return reading.check(Decoding, values, path)
    except UserError as error:
        raise UserError(f"{str(error).removesuffix('.')}; take the file that belongs to the model.") from None


class Voice:
    """An opened model folder, on one device."""

    def __init__(self, path: Path, device: str = "cpu"):
        self.path = path
        self.facts = folder.ours(path)  # small files first, so that a fault in one is reported at once
        self.vocoder = self.facts["vocoder"]
        self.tokenizer = folder.tokenizer(path)
        self.dvae, self.mel_stats, self.renderer = folder.open_codec(path)
        self.xtts = folder.open_xtts(path)
        self.to(device)

    def to(self, device: str | torch.device) -> None:
        """Move the model."""
        self.device = torch.device(device)
        self.xtts.to(self.device)

    @property
    def most_tokens(self) -> int:
        """The model's limit of text tokens. A line must have fewer."""
        return self.xtts.args.gpt_max_text_tokens

    @property
    def rate(self) -> int:
        """Sample rate of the speech in Hz."""
        return self.xtts.args.output_sample_rate if self.vocoder == "hifigan" else codec.SAMPLE_RATE

    @property
    def codec_rate(self) -> int:
        """Sample rate in Hz of the recordings and of the sound that the audio codes stand for."""
        return codec.SAMPLE_RATE

    @property
    def language(self) -> str:
        """The language that the folder was published for, see `language_of`."""
        return language_of(self.path)

    @property
    def ours(self) -> bool:
        """Whether the folder has a voicetune.json, which means that this project made it."""
        return (self.path / folder.OURS).is_file()

    def speakers(self) -> dict[str, Speaker]:
        """All speakers saved in the folder, by name."""
        return folder.speakers(self.path)

    def decoding(self) -> Decoding:
        """The folder's decoding settings, see `decoding_of`.

        Raises:
            UserError: the folder has no decoding settings, or they are not valid.
        """
        return decoding_of(self.path)

    def speaker(self, name: str | None = None) -> Speaker:
        """The speaker of this name saved in the folder. The name may be left out if the folder has one speaker.

        Raises:
            UserError: there is no speaker of that name; or the name is left out, and there is not exactly one speaker.
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
        """Draw the audio codes of each line, (codes,) int64. They do not depend on the other lines (see `decode`).

        Args:
            speakers: one for each line, as `conditioning.listen` and `speaker` return them.
            seed: one for all lines, or one for each line. The same line with the same seed gets the same draws.

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
        """Whether a text has few enough tokens to be spoken at once."""
        return len(self.tokenizer.encode(text, language)) < self.most_tokens

    def sound(self, codes: Tensor, line: Line, speaker: Speaker) -> np.ndarray:
        """Turn one line's codes into sound at the line's speed: (samples,) float32 at `rate` Hz."""
        if codes.numel() == 0:
            return np.zeros(0, np.float32)
        if self.renderer:
            return self._render(self.renderer, codes.cpu(), line, speaker)
        if self.vocoder != "hifigan":
            return codec.decode(self.dvae, codes.cpu(), self.mel_stats, line.speed)
        text = self.tokens(line)[None].to(self.device)
        codes = codes.to(self.device)
        if codes.numel() < self.xtts.gpt.max_gen_mel_tokens:  # it stopped; the stock client voices STOP too
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
        """Turn codes into sound with the renderer and Griffin-Lim, on the CPU."""
        codes = codec.known_codes(self.dvae, codes)
        if codes.numel() == 0:
            return np.zeros(0, np.float32)
        embedded = self.dvae.codebook.embed_code(codes[None]).mT
        statistics = speaker["speaker_embedding"][:, :STATISTICS, 0]
        return codec.voice_mel(renderer(embedded, statistics)[0], line.speed)
