"""Finds clips that are the same as another one, or nearly: in their sound, or in their text.

A copy of a training clip in the validation or the test set makes the figures of that set too good. So the test clip
stays, the validation clip stays unless it is like a test clip, and the copy in training goes.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np

from voicetune.data.audio import SAMPLE_RATE, resample
from voicetune.data.clip import Clip
from voicetune.data.split import TEST, TRAIN, VALIDATION

_BANDS, _TIMES = 20, 32
_AT_ONCE = 1000  # clips that are compared with all others at once
_NONE = -2.0  # below every cosine
_ORDER = {TEST: 0, VALIDATION: 1, TRAIN: 2}


def fingerprint(samples: np.ndarray, rate: int) -> np.ndarray:
    """A small spectrogram of a sound: 20 mel bands at 32 times, as a unit vector, (640,) float32.

    Its level, its speed and a constant filter change it little, as each band's mean is taken away.
    """
    from librosa.feature import melspectrogram

    mel = melspectrogram(
        y=resample(samples, rate, SAMPLE_RATE), sr=SAMPLE_RATE, n_mels=_BANDS, fmax=8000, hop_length=512
    )
    level = 10 * np.log10(np.maximum(mel, mel.max() * 1e-5) + 1e-12)
    edges = np.linspace(0, level.shape[1], _TIMES + 1)
    parts = [level[:, int(a) : max(int(b), int(a) + 1)].mean(axis=1) for a, b in pairwise(edges)]
    flat = np.stack(parts, axis=1)
    flat = (flat - flat.mean(axis=1, keepdims=True)).ravel()
    return (flat / max(np.linalg.norm(flat), 1e-9)).astype(np.float32)


def sounds(clips: Sequence[Clip], fingerprints: np.ndarray, fit: Collection[str]) -> list[tuple[float, str] | None]:
    """Find the clip that each clip's sound is most like, among those that stay if both are the same.

    These are the clips of a side that is held out more strictly, and those before it on its own side.

    Args:
        fingerprints: (clips, 640).
        fit: the ids of the clips that no other check leaves out. A copy of a clip that is left out is no copy.

    Returns:
        for each clip the cosine and the id of the other one; None if there is no other one.
    """
    order = sorted(range(len(clips)), key=lambda i: (_ORDER[clips[i].split], i))
    ranked = fingerprints[order]
    unfit = np.array([clips[i].id not in fit for i in order])
    found: list[tuple[float, str] | None] = [None] * len(clips)
    for first in range(0, len(order), _AT_ONCE):
        alike = ranked[first : first + _AT_ONCE] @ ranked[: first + _AT_ONCE].T
        alike[:, unfit[: first + _AT_ONCE]] = _NONE
        for row, cosines in enumerate(alike, start=first):
            if (cosines[:row] > _NONE).any():
                best = int(cosines[:row].argmax())
                found[order[row]] = float(cosines[best]), clips[order[best]].id
    return found


def texts(clips: Sequence[Clip], fit: Collection[str]) -> list[tuple[float, str] | None]:
    """The clip that each clip's text is most like, among those of sides that are held out more strictly.

    The likeness is 1 minus the edit distance over the characters of both (insertions and deletions). Case and
    punctuation do not count.

    Args:
        fit: see `sounds`.

    Returns:
        see `sounds`.
    """
    plain = [_plain(clip.text) for clip in clips]
    found: list[tuple[float, str] | None] = [None] * len(clips)
    for side, held_out in ((VALIDATION, (TEST,)), (TRAIN, (TEST, VALIDATION))):
        others = [i for i, clip in enumerate(clips) if clip.split in held_out and clip.id in fit]
        own = [i for i, clip in enumerate(clips) if clip.split == side]
        for at in range(0, len(own) if others else 0, _AT_ONCE):
            part = own[at : at + _AT_ONCE]
            for i, (alike, best) in zip(
                part, _nearest([plain[i] for i in part], [plain[i] for i in others]), strict=True
            ):
                found[i] = alike, clips[others[best]].id
    return found


def _nearest(texts: list[str], others: list[str]) -> list[tuple[float, int]]:
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import cdist

    alike = cdist(texts, others, scorer=Indel.normalized_similarity, dtype=np.float32, workers=-1)
    best = alike.argmax(axis=1)
    return [(float(row[at]), int(at)) for row, at in zip(alike, best, strict=True)]


def _plain(text: str) -> str:
    return "".join(one for one in text.casefold() if one.isalnum() or one == " ")
