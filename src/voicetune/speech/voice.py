"""A model folder that speaks: conditioning latents, decoding, vocoding."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.nn import functional as F
from TTS.tts.models.xtts import Xtts

from voicetune.data.codes import Codes
from voicetune.errors import UserError
from voicetune.params import Decoding
from voicetune.speech.decode import decode
from voicetune.xtts import codec, folder

_REFERENCE_SECONDS = 30


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


def listen(xtts: Xtts, clips: Sequence[np.ndarray]) -> dict[str, Tensor]:
    """Conditioning latents and speaker embedding of a speaker, by the stock model's own functions.

    Args:
        clips: recordings, each (samples,) at 22,050 Hz; the first 30 s of them together are heard.

    Returns:
        gpt_cond_latent (1, 32, width) and speaker_embedding (1, 512, 1), as speakers_xtts.pth keeps them.
    """
    joined = torch.from_numpy(np.concatenate(list(clips)))[None, : codec.SAMPLE_RATE * _REFERENCE_SECONDS]
    with torch.inference_mode():
        latents = xtts.get_gpt_cond_latents(
            joined, codec.SAMPLE_RATE, length=_REFERENCE_SECONDS, chunk_length=xtts.config.gpt_cond_chunk_len
        )
        embedding = xtts.get_speaker_embedding(joined.to(xtts.device), codec.SAMPLE_RATE)
    return {"gpt_cond_latent": latents.cpu().clone(), "speaker_embedding": embedding.cpu().clone()}


def recordings(codes: Codes, clips: Path, speaker: str) -> list[np.ndarray]:
    """A speaker's longest training clips, 30 s of them or a little more: what `listen` hears.

    Args:
        clips: the folder of the cleaned clips.
    """
    known = sorted((codes.clips[i] for i in codes.training_clips_of(speaker)), key=lambda c: (-c.seconds, c.id))
    chosen, total = [], 0.0
    for clip in known:
        if total >= _REFERENCE_SECONDS:
            break
        chosen.append(soundfile.read(clips / clip.file, dtype="float32")[0])
        total += clip.seconds
    return chosen


def heard(xtts: Xtts, codes: Codes, clips: Path, names: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """Speakers of a dataset as a model hears their recordings, by name; see `listen`."""
    return {name: listen(xtts, recordings(codes, clips, name)) for name in sorted(set(names))}


@contextmanager
def _readable(text: str) -> Iterator[None]:
    """Turns what the stock tokenizer's cleaners raise (num2words, a missing cutlet for Japanese) into one sentence."""
    try:
        yield
    except (LookupError, ArithmeticError, ValueError, NotImplementedError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the line '{text[:60]}' cannot be read by XTTS's tokenizer ({reason}); change it.") from None


class Voice:
    """An opened model folder, on one device."""

    def __init__(self, path: Path, device: str = "cpu"):
        self.path = path
        self.xtts = folder.open_xtts(path)
        self.dvae, self.mel_stats = folder.open_dvae(path)
        self.tokenizer = folder.tokenizer(path)
        self.vocoder = folder.ours(path)["vocoder"]
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

    def speaker(self, name: str | None = None) -> dict[str, Tensor]:
        """A speaker saved with the folder; without a name, the only one.

        Raises:
            UserError: there is none of that name, or none that the name could leave out.
        """
        saved = folder.speakers(self.path)
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
        speakers: Sequence[dict[str, Tensor]],
        settings: Decoding,
        seed: int | Sequence[int],
    ) -> list[Tensor]:
        """Audio codes of each line, (codes,) int64; whatever else is said in the same call (see `decode`).

        Args:
            speakers: one a line, as `listen` and `speaker` give them.
            seed: the same line, with the same seed, has the same draws; one for all lines, or one a line.

        Raises:
            UserError: a line has characters that the vocabulary lacks, or is too long.
        """
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
        with _readable(line.text):
            missing = self.tokenizer.unknown_characters(line.text, line.language)
        if missing:
            raise UserError(
                f"the line '{line.text[:60]}' has {' '.join(missing)}, which this model does not know; change it."
            )
        tokens = self._encoded(line.text, line.language)
        if len(tokens) >= self.most_tokens:
            raise UserError(f"the line '{line.text[:60]}' is too long ({len(tokens)} tokens); split it.")
        return torch.from_numpy(tokens).long()

    def takes(self, text: str, language: str) -> bool:
        """Whether a text is short enough to be spoken at once."""
        return len(self._encoded(text, language)) < self.most_tokens

    def _encoded(self, text: str, language: str) -> np.ndarray:
        with _readable(text):
            return self.tokenizer.encode(text.strip().lower(), language)

    def sound(self, codes: Tensor, line: Line, speaker: dict[str, Tensor]) -> np.ndarray:
        """Sound of one line's codes, as fast as the line says: (samples,) float32 at `rate` Hz."""
        if codes.numel() == 0:
            return np.zeros(0, np.float32)
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
