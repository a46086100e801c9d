"""A model folder that speaks: conditioning latents, decoding, vocoding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from TTS.tts.models.xtts import Xtts

from voicetune.data.codes import Codes
from voicetune.errors import UserError
from voicetune.params import Decoding
from voicetune.speech.decode import decode
from voicetune.xtts import codec, folder

_REFERENCE_SECONDS = 30


@dataclass(frozen=True)
class Line:
    """Something to say."""

    text: str
    language: str


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


class Voice:
    """An opened model folder, on one device."""

    def __init__(self, path: Path, device: str = "cpu"):
        self.path = path
        self.xtts = folder.open_xtts(path).to(device)
        self.dvae, self.mel_stats = folder.open_dvae(path)
        self.tokenizer = folder.tokenizer(path)
        self.vocoder = folder.ours(path)["vocoder"]
        self.device = torch.device(device)

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
        self, lines: Sequence[Line], speakers: Sequence[dict[str, Tensor]], settings: Decoding, seed: int
    ) -> list[Tensor]:
        """Audio codes of each line, decoded in one batch: (codes,) int64.

        Args:
            speakers: one a line, as `listen` and `speaker` give them.

        Raises:
            UserError: a line has characters that the vocabulary lacks, or is too long.
        """
        texts = [self.tokens(line) for line in lines]
        latents = torch.cat([speaker["gpt_cond_latent"] for speaker in speakers]).to(self.device)
        return decode(self.xtts.gpt, latents, texts, settings, seed)

    def tokens(self, line: Line) -> Tensor:
        """Text tokens of a line, (t,) int64.

        Raises:
            UserError: the line has characters that the vocabulary lacks, or is too long.
        """
        if missing := self.tokenizer.unknown_characters(line.text, line.language):
            raise UserError(
                f"the line '{line.text[:60]}' has {' '.join(missing)}, which this model does not know; change it."
            )
        tokens = torch.from_numpy(self.tokenizer.encode(line.text.strip().lower(), line.language)).long()
        if len(tokens) >= self.xtts.args.gpt_max_text_tokens:
            raise UserError(f"the line '{line.text[:60]}' is too long ({len(tokens)} tokens); split it.")
        return tokens

    def sound(self, codes: Tensor, line: Line, speaker: dict[str, Tensor]) -> np.ndarray:
        """Sound of one line's codes: (samples,) float32 at `rate` Hz."""
        if codes.numel() == 0:
            return np.zeros(0, np.float32)
        if self.vocoder != "hifigan":
            return codec.decode(self.dvae, codes.cpu(), self.mel_stats)
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
            wave = self.xtts.hifigan_decoder(latents, g=speaker["speaker_embedding"].to(self.device))
        return wave.cpu().numpy().reshape(-1)

    def speak(
        self, lines: Sequence[Line], speakers: Sequence[dict[str, Tensor]], settings: Decoding, seed: int
    ) -> list[np.ndarray]:
        """Speak lines: sound of each, (samples,) float32 at `rate` Hz."""
        every = self.codes(lines, speakers, settings, seed)
        return [self.sound(codes, line, who) for codes, line, who in zip(every, lines, speakers, strict=True)]
