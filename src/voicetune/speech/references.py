"""Find the best reference of each speaker: try several, and keep the one with the lowest mel CE.

The mel CE is that of the speaker's validation clips, spoken in the voice of the reference. It needs forward passes
alone, and is the same in every run. Every model gets its best reference in this way, so that the base is compared at
its zero-shot best.
"""

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voicetune import copies, files
from voicetune.data.codes import Codes
from voicetune.data.dataset import Dataset
from voicetune.model import REFERENCE_SECONDS, Model, Speaker
from voicetune.speech.conditioning import choose_longest

FILE = "references.json"
_SINGLES, _JOINS = 2, 2  # numbers of candidates besides the longest clips
_SINGLE_SECONDS = 6.0  # the longest reference of the recipe
_CLIPS = 6  # validation clips that a reference is measured on; few, because every model measures every reference
_TIE = 5e-3  # nats; a reference replaces the first only if its mel CE is lower by more than this


@dataclass(frozen=True)
class Reference:
    """A reference of a speaker.

    clips: ids of the training clips that it is made of. mel_ce: of the speaker's validation clips, conditioned on it;
    None if the speaker has no validation clips. speaker: the voice.
    """

    clips: list[str]
    mel_ce: float | None
    speaker: Speaker

    def facts(self) -> dict[str, Any]:
        """What voicetune.json records of it."""
        return {"clips": self.clips, "mel_ce": None if self.mel_ce is None else round(self.mel_ce, 4)}


def best(model: Model, data: Dataset, names: Iterable[str]) -> dict[str, Reference]:
    """Find the best reference of each speaker for this model, by name.

    The first candidate, the longest clips, is kept unless another one is clearly better.
    """
    return {name: _best(model, data, name) for name in sorted(set(names))}


def _best(model: Model, data: Dataset, name: str) -> Reference:
    codes = data.codes
    judges = np.array([i for i in codes.validation if codes.speakers[i] == name], np.int64)
    judges = np.sort(_rng(name).permutation(judges)[:_CLIPS])
    first, mel_ce = choose_longest(codes, name), None
    kept = first
    if judges.size:
        tried = list_candidates(codes, name)
        found = [model.mel_ce_given(codes, judges, data.sounds(one)) for one in tried]
        lowest = int(np.argmin(found))
        kept, mel_ce = (tried[lowest], found[lowest]) if found[0] - found[lowest] > _TIE else (first, found[0])
    return Reference([codes.clips[i].id for i in kept], mel_ce, model.compute_speaker(data.sounds(kept)))


def list_candidates(codes: Codes, name: str) -> list[list[int]]:
    """List the references to try, each as positions of training clips, without repeats.

    They are the longest clips joined to 30 s, single clips of about 6 s, and joins of randomly drawn clips. The draw is
    seeded with the speaker's name.
    """
    first, pool = choose_longest(codes, name), codes.training_clips_of(name)
    nearest = sorted(pool.tolist(), key=lambda i: (abs(codes.clips[i].seconds - _SINGLE_SECONDS), codes.clips[i].id))
    rng = _rng(name)
    joins = [_join(codes, rng.permutation(pool).tolist()) for _ in range(_JOINS)]
    found: list[list[int]] = []
    for one in [first, *([i] for i in nearest[:_SINGLES]), *joins]:
        if sorted(one) not in [sorted(other) for other in found]:
            found.append(one)
    return found


def save(folder: Path, speakers: str, found: dict[str, Reference]) -> None:
    """Write the speakers to the file `speakers`, and the reference clips of each to references.json."""
    folder.mkdir(parents=True, exist_ok=True)
    with copies.written(folder / speakers):
        torch.save({name: one.speaker for name, one in found.items()}, folder / speakers)
    facts = json.dumps({name: one.facts() for name, one in found.items()}, indent=2, ensure_ascii=False)
    with files.writing(folder / FILE):
        (folder / FILE).write_text(facts + "\n", encoding="utf-8", newline="\n")


def _join(codes: Codes, order: list[int]) -> list[int]:
    """Take clips from the start of `order` until they have 30 s together."""
    total = np.cumsum([codes.clips[i].seconds for i in order])
    return order[: int(np.searchsorted(total, REFERENCE_SECONDS)) + 1]


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))
