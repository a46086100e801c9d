"""The best reference of each speaker: several are tried, and kept is the one with which a model knows the speaker best.

Used for every model alike, so that a base by zero-shot is compared at its best. The criterion is the mel CE of the
speaker's validation clips, given the latents of a reference: forward passes alone, and the same figure in every run.
"""

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from TTS.tts.layers.xtts.gpt import GPT
from TTS.tts.models.xtts import Xtts

from voicetune import files
from voicetune.data.codes import Codes
from voicetune.speech.conditioning import REFERENCE_SECONDS, Speaker, latents, listen, longest, sounds
from voicetune.xtts import tensors
from voicetune.xtts.folder import SPEAKERS
from voicetune.xtts.gpt import Batch, Tokens, TrainingLoss
from voicetune.xtts.precision import full_fp32
from voicetune.xtts.rows import Recipe, assemble, given

FILE = "references.json"
_SINGLES, _JOINS = 2, 2  # candidates beside the longest clips
_SINGLE_SECONDS = 6.0  # of the recipe's reference
_CLIPS = 6  # validation clips that judge a reference: few, as each model hears each reference on them
_BATCH = 16
_TIE = 5e-3  # nats; a reference has to be better than the first by more
_RECIPE = Recipe()


@dataclass(frozen=True)
class Reference:
    """clips: ids of the training clips that are heard. mel_ce: of the validation clips, given them; None if the speaker
    has none. speaker: latents and embedding."""

    clips: list[str]
    mel_ce: float | None
    speaker: Speaker

    def facts(self) -> dict[str, Any]:
        """For voicetune.json."""
        return {"clips": self.clips, "mel_ce": None if self.mel_ce is None else round(self.mel_ce, 4)}


def best(xtts: Xtts, vocoder: str, codes: Codes, clips: Path, names: Iterable[str]) -> dict[str, Reference]:
    """The best reference of each speaker for this model, by name; nearly equal ones are the first, the longest clips.

    Args:
        clips: the folder of the recordings.
    """
    return {name: _best(xtts, vocoder, codes, clips, name) for name in sorted(set(names))}


def _best(xtts: Xtts, vocoder: str, codes: Codes, clips: Path, name: str) -> Reference:
    judges = np.array([i for i in codes.validation if codes.speakers[i] == name], np.int64)
    judges = np.sort(_rng(name).permutation(judges)[:_CLIPS])
    first, mel_ce = longest(codes, name), None
    kept = first
    if judges.size:
        tried = candidates(codes, name)
        found = [measure(xtts, codes, judges, latents(xtts, sounds(codes, clips, one))) for one in tried]
        lowest = int(np.argmin(found))
        kept, mel_ce = (tried[lowest], found[lowest]) if found[0] - found[lowest] > _TIE else (first, found[0])
    return Reference([codes.clips[i].id for i in kept], mel_ce, listen(xtts, vocoder, sounds(codes, clips, kept)))


def candidates(codes: Codes, name: str) -> list[list[int]]:
    """Positions of the training clips of each reference to try, without repeats: the longest clips joined to 30 s;
    single clips of about 6 s; joins of other clips, drawn by the speaker's name."""
    first, pool = longest(codes, name), codes.training_clips_of(name)
    nearest = sorted(pool.tolist(), key=lambda i: (abs(codes.clips[i].seconds - _SINGLE_SECONDS), codes.clips[i].id))
    rng = _rng(name)
    joins = [_joined(codes, rng.permutation(pool).tolist()) for _ in range(_JOINS)]
    found: list[list[int]] = []
    for one in [first, *([i] for i in nearest[:_SINGLES]), *joins]:
        if sorted(one) not in [sorted(other) for other in found]:
            found.append(one)
    return found


class _Given(TrainingLoss):
    """The loss of clips that are all given the same latents (1, 32, width)."""

    def __init__(self, gpt: GPT, known: Tensor):
        super().__init__(gpt)
        self.known = known

    def latents(self, batch: Batch) -> Tensor:
        return self.known.expand(len(batch.text), -1, -1)


@torch.no_grad()
def measure(xtts: Xtts, codes: Codes, chosen: np.ndarray, known: Tensor) -> float:
    """mel CE in nats per token of some clips, all given the same latents (1, 32, width); fp32, dropout off."""
    loss, tokens, device = _Given(xtts.gpt, known.to(xtts.device)).eval(), Tokens.of(xtts.gpt), xtts.device
    order = chosen[np.argsort(codes.lengths[chosen], kind="stable")]
    nats, count = 0.0, 0
    for start in range(0, len(order), _BATCH):
        some = order[start : start + _BATCH]
        unused = np.zeros((len(some), 80, 1), np.float32)
        batch = assemble(codes, given(some, unused), _RECIPE, tokens).to(device)
        with full_fp32(device):
            _, mel = loss(batch)
        nats, count = nats + float(mel.double().sum()), count + mel.numel()
    return nats / count


def save(folder: Path, found: dict[str, Reference]) -> None:
    """Write the speakers as a model folder has them, and what they were heard in."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors.save({name: one.speaker for name, one in found.items()}, folder / SPEAKERS)
    facts = json.dumps({name: one.facts() for name, one in found.items()}, indent=2, ensure_ascii=False)
    with files.writing(folder / FILE):
        (folder / FILE).write_text(facts + "\n", encoding="utf-8")


def _joined(codes: Codes, order: list[int]) -> list[int]:
    """The first of these clips, until they have 30 s."""
    total = np.cumsum([codes.clips[i].seconds for i in order])
    return order[: int(np.searchsorted(total, REFERENCE_SECONDS)) + 1]


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))
