"""XTTS as a model that speaks, see `voicetune.model.Speaking`: decoding and vocoding."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from re import Pattern

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from TTS.tts.layers.xtts.tokenizer import _abbreviations

from voicetune.model import Speaker
from voicetune.params import languages
from voicetune.params.decoding import Decoding
from voicetune.xtts import chunks, codec, folder
from voicetune.xtts.decode import decode, decode_live
from voicetune.xtts.limits import CHARACTERS
from voicetune.xtts.renderer import STATISTICS, Renderer
from voicetune.xtts.training import Model


class Speech(Model):
    """An opened model folder with its vocabulary and codec."""

    def __init__(self, path: Path):
        self.tokenizer = folder.open_tokenizer(path)  # small files first, so that a fault in one is reported at once
        self.dvae, self.mel_stats, self.renderer = folder.open_codec(path)
        super().__init__(path)

    @property
    def rate(self) -> int:
        return self.xtts.args.output_sample_rate if self.voices_latents else codec.SAMPLE_RATE

    @property
    def codec_rate(self) -> int:
        return codec.SAMPLE_RATE

    @property
    def most_tokens(self) -> int:
        return self.xtts.args.gpt_max_text_tokens

    @property
    def needs_speaker(self) -> bool:
        """With `griffin_lim`, the DVAE's decoder turns codes into sound, and takes no speaker."""
        return self.vocoder != "griffin_lim"

    @property
    def voices_latents(self) -> bool:
        return self.vocoder == "hifigan"

    @property
    def languages(self) -> list[str]:
        named = [one.split("-")[0] for one in self.xtts.config.languages]  # zh-cn is zh here
        return [one for one in named if not self.unknown_characters("", one)]

    def unknown_characters(self, text: str, language: str) -> list[str]:
        return self.tokenizer.unknown_characters(text, language)

    def tokens(self, text: str, language: str) -> np.ndarray:
        return self.tokenizer.encode(text, language)

    def characters(self, language: str) -> int:
        return CHARACTERS.get(language, languages.CHARACTERS)

    def abbreviations(self, language: str) -> Sequence[Pattern[str]]:
        return abbreviations(language)

    def decode(
        self, texts: Sequence[Tensor], speakers: Sequence[Speaker], settings: Decoding, seeds: Sequence[int]
    ) -> list[Tensor]:
        latents = torch.cat([speaker["gpt_cond_latent"] for speaker in speakers]).to(self.xtts.device)
        return decode(self.xtts.gpt, latents, texts, settings, seeds)

    def stopped(self, codes: Tensor) -> bool:
        return len(codes) < self.xtts.gpt.max_gen_mel_tokens

    def sound(self, codes: Tensor, text: str, language: str, speed: float, speaker: Speaker) -> np.ndarray:
        if self.renderer:
            return self._render(self.renderer, codes.cpu(), speed, speaker)
        if not self.voices_latents:
            return codec.decode(self.dvae, codes.cpu(), self.mel_stats, speed)
        return self._by_hifigan(codes, text, language, speed, speaker)

    @property
    def streams(self) -> bool:
        return self.voices_latents

    def stream(
        self, text: Tensor, speed: float, speaker: Speaker, settings: Decoding, seed: int
    ) -> Iterator[np.ndarray]:
        device = self.xtts.device
        latents = decode_live(self.xtts.gpt, speaker["gpt_cond_latent"].to(device), text, settings, seed)
        embedding = speaker["speaker_embedding"].to(device)
        for sound in chunks.voice_chunks(self.xtts.hifigan_decoder, latents, embedding, speed):
            yield sound.cpu().numpy()

    @torch.inference_mode()
    def _by_hifigan(self, codes: Tensor, text: str, language: str, speed: float, speaker: Speaker) -> np.ndarray:
        """Turn codes into sound as the stock client does: HiFi-GAN reads the GPT's latents of the codes."""
        device, gpt = self.xtts.device, self.xtts.gpt
        words = torch.from_numpy(self.tokens(text, language)).long()[None].to(device)
        codes = codes.to(device)
        if self.stopped(codes):  # the stock client voices STOP too
            codes = torch.cat([codes, codes.new_tensor([gpt.stop_audio_token])])
        latents = gpt(
            words,
            torch.tensor([words.shape[1]], device=device),
            codes[None],
            torch.tensor([codes.numel() * codec.SAMPLES_PER_CODE], device=device),
            cond_latents=speaker["gpt_cond_latent"].to(device),
            return_latent=True,
        )
        if speed != 1:  # as `Xtts.inference` does
            latents = F.interpolate(latents.mT, scale_factor=1 / speed, mode="linear").mT
        wave = self.xtts.hifigan_decoder(latents, g=speaker["speaker_embedding"].to(device))
        return wave.cpu().numpy().reshape(-1)

    @torch.inference_mode()
    def _render(self, renderer: Renderer, codes: Tensor, speed: float, speaker: Speaker) -> np.ndarray:
        """Turn codes into sound with the renderer and Griffin-Lim, on the CPU."""
        codes = codec.known_codes(self.dvae, codes)
        if codes.numel() == 0:
            return np.zeros(0, np.float32)
        embedded = self.dvae.codebook.embed_code(codes[None]).mT
        statistics = speaker["speaker_embedding"][:, :STATISTICS, 0]
        return codec.voice_mel(renderer(embedded, statistics)[0], speed)


def abbreviations(language: str) -> list[Pattern[str]]:
    """The stock tokenizer's patterns of abbreviations with a full stop."""
    return [pattern for pattern, _ in _abbreviations.get(language, ())]


def open_speech(path: Path) -> Speech:
    """Open a model folder to speak with it.

    Raises:
        UserError: see `folder.open_tokenizer`, `folder.open_codec` and `training.open_model`.
    """
    return Speech(path)
