"""Speak with a model folder."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voicetune import families
from voicetune.errors import UserError
from voicetune.model import Speaker
from voicetune.params import reading
from voicetune.params.decoding import Decoding
from voicetune.speech.pace import KEY as PACE
from voicetune.speech.pace import Pace, usual


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
    return _language(families.folder(model).read_facts(model))


def _language(facts: dict[str, Any]) -> str:
    return str(facts.get("language", "en"))


def decoding_of(model: Path) -> Decoding:
    """The decoding settings of a model folder, which `publishing.publish` writes.

    A folder without voicetune.json was not made by this project. Its settings come from its config.json.

    Raises:
        UserError: the folder has no decoding settings, or they are not valid.
    """
    folder = families.folder(model)
    if not (model / families.FACTS).is_file():
        return _check(folder.usual_decoding(model), model / "config.json")
    known = folder.read_facts(model).get("decoding")
    if not isinstance(known, dict):
        raise UserError(
            f"{model / families.FACTS} has no 'decoding'; speak with models/voice, which `dvc repro publish` makes."
        )
    return _check(known, model / families.FACTS)


def _check(values: dict[str, Any], path: Path) -> Decoding:
    """The decoding settings that a file of a model folder holds; the remedy for a fault is the model's, not a key's."""
    try:
        return reading.check(Decoding, values, path)
    except UserError as error:
        raise UserError(f"{str(error).removesuffix('.')}; take the file that belongs to the model.") from None


class Voice:
    """An opened model folder, on one device."""

    def __init__(self, path: Path, device: str = "cpu"):
        self.path = path
        self.facts = families.folder(path).read_facts(path)  # small: a fault in it is reported at once
        self.model = families.speaking(path).open_speech(path)
        self.to(device)

    def to(self, device: str | torch.device) -> None:
        """Move the model."""
        self.device = torch.device(device)
        self.model.to(self.device)

    def workers(self, most: int | None) -> int:
        """How many sounds may be made at once: on a GPU of Apple one, because a second thread there ends the process.

        Args:
            most: elsewhere; None means the cores.
        """
        return 1 if self.device.type == "mps" else most or os.cpu_count() or 1

    @property
    def rate(self) -> int:
        """Sample rate of the speech in Hz."""
        return self.model.rate

    @property
    def codec_rate(self) -> int:
        """Sample rate in Hz of the recordings and of the sound that the audio codes stand for."""
        return self.model.codec_rate

    @property
    def language(self) -> str:
        """The language that the folder was published for, see `language_of`."""
        return _language(self.facts)

    @property
    def has_facts(self) -> bool:
        """Whether the folder has a voicetune.json, which means that this project made it."""
        return (self.path / families.FACTS).is_file()

    def pace(self, language: str) -> Pace:
        """How long this voice takes for a text: what the folder was published with, or else the language's usual pace.

        Raises:
            UserError: the pace in voicetune.json is damaged.
        """
        if PACE not in self.facts or language != self.language:
            return usual(language)
        return reading.check(Pace, self.facts[PACE], self.path / families.FACTS)

    def speakers(self) -> dict[str, Speaker]:
        """All speakers saved in the folder, by name."""
        return families.folder(self.path).speakers(self.path)

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
        if not saved:
            raise UserError(f"{self.path} has no speakers; give a recording of the speaker as the reference.")
        if name not in saved:
            wrong = "has several speakers" if name is None else f"has no speaker '{name}'"
            known = ", ".join(sorted(saved))
            raise UserError(f"{self.path} {wrong}; it has {known}: name one of them, or give a reference.")
        return saved[name]

    def codes(
        self,
        lines: Sequence[Line],
        speakers: Sequence[Speaker],
        settings: Decoding,
        seed: int | Sequence[int],
    ) -> list[Tensor]:
        """Draw the audio codes of each line, (codes,) int64. They do not depend on the other lines.

        Args:
            speakers: one for each line, as `Model.compute_speaker` and `speaker` return them.
            seed: one for all lines, or one for each line. The same line with the same seed gets the same draws.

        Raises:
            UserError: a line has characters that the vocabulary lacks, or is too long.
        """
        if not lines:
            return []
        texts = [self.tokens(line) for line in lines]
        seeds = [seed] * len(lines) if isinstance(seed, int) else seed
        draws = [seed_of(own, line) for own, line in zip(seeds, lines, strict=True)]
        return self.model.decode(texts, speakers, settings, draws)

    def stream(self, line: Line, speaker: Speaker, settings: Decoding, seed: int) -> Iterator[np.ndarray]:
        """Yield the sound of a line while its codes are drawn, (samples,) float32, if `model.streams`.

        The codes are those that `codes` draws. Nothing of it can be checked before it is heard.

        Raises:
            UserError: see `codes`.
        """
        return self.model.stream(self.tokens(line), line.speed, speaker, settings, seed_of(seed, line))

    def tokens(self, line: Line) -> Tensor:
        """Text tokens of a line, (t,) int64.

        Raises:
            UserError: the line has characters that the vocabulary lacks, or is too long.
        """
        missing = self.model.unknown_characters(line.text, line.language)
        if missing:
            raise UserError(
                f"the line '{line.text[:60]}' has {' '.join(missing)}, which this model does not know; change it."
            )
        tokens = self.model.tokens(line.text, line.language)
        if len(tokens) >= self.model.most_tokens:
            raise UserError(f"the line '{line.text[:60]}' is too long ({len(tokens)} tokens); split it.")
        return torch.from_numpy(tokens).long()

    def takes(self, text: str, language: str) -> bool:
        """Whether a text has few enough tokens to be spoken at once."""
        return len(self.model.tokens(text, language)) < self.model.most_tokens

    def sound(self, codes: Tensor, line: Line, speaker: Speaker) -> np.ndarray:
        """Turn one line's codes into sound at the line's speed: (samples,) float32 at `rate` Hz."""
        if codes.numel() == 0:
            return np.zeros(0, np.float32)
        return self.model.sound(codes, line.text, line.language, line.speed, speaker)
