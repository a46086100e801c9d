"""The toy as a model that hums."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from re import Pattern

import numpy as np
import torch
from torch import Tensor

from toy_model import codec
from toy_model.encoding import tokens_of
from toy_model.limits import CHARACTERS
from toy_model.network import LETTERS, STOP
from toy_model.training import Model
from voicetune.model import Speaker
from voicetune.params.decoding import Decoding

_FEWEST_CODES, _MOST_CODES = 10, 80


class Speech(Model):
    rate, codec_rate, most_tokens = codec.RATE, codec.RATE, 200
    needs_speaker = voices_latents = streams = False
    languages = ("en",)

    def unknown_characters(self, text: str, language: str) -> list[str]:
        return [letter for letter in dict.fromkeys(text) if not letter.isascii()] + [language] * (language != "en")

    def tokens(self, text: str, language: str) -> np.ndarray:
        return tokens_of(text)

    def characters(self, language: str) -> int:
        return CHARACTERS.get(language, 120)

    def abbreviations(self, language: str) -> Sequence[Pattern[str]]:
        return ()

    @torch.inference_mode()
    def decode(
        self, texts: Sequence[Tensor], speakers: Sequence[Speaker], settings: Decoding, seeds: Sequence[int]
    ) -> list[Tensor]:
        return [
            self._hum(text, speaker["voice"], settings.temperature, torch.Generator().manual_seed(seed))
            for text, speaker, seed in zip(texts, speakers, seeds, strict=True)
        ]

    def _hum(self, text: Tensor, voice: Tensor, temperature: float, draw: torch.Generator) -> Tensor:
        tokens, found = torch.cat([torch.zeros(1).long(), text, torch.ones(1).long()]), []
        while len(found) < _MOST_CODES:
            logits = self.network.mel_head(self.network(tokens[None], voice[None])[0, -1])
            if len(found) < _FEWEST_CODES:
                logits[STOP] = -torch.inf
            chosen = int(torch.multinomial((logits / max(temperature, 0.01)).softmax(0), 1, generator=draw))
            if chosen == STOP:
                break
            found.append(chosen)
            tokens = torch.cat([tokens, torch.tensor([chosen + LETTERS])])
        return torch.tensor(found, dtype=torch.int64)

    def stopped(self, codes: Tensor) -> bool:
        return len(codes) < _MOST_CODES

    def sound(self, codes: Tensor, text: str, language: str, speed: float, speaker: Speaker) -> np.ndarray:
        return codec.tone(codes.numpy(), speed)

    def stream(
        self, text: Tensor, speed: float, speaker: Speaker, settings: Decoding, seed: int
    ) -> Iterator[np.ndarray]:
        raise NotImplementedError


def open_speech(path: Path) -> Speech:
    return Speech(path)
