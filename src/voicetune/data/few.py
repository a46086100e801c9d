"""Warns about validation and test sets that are too small, and proposes shares that make them large enough."""

from voicetune.data.clip import Clip
from voicetune.data.split import TEST, VALIDATION, split
from voicetune.params.data import LARGEST

FEW = 6
"""`warnings` names a side that has fewer clips. By the t distribution, a 95 % interval over so few clips is wider than
their spread alone would make it: 1.3 times for 6 clips, 1.6 times for 4, 6.5 times for 2."""
_USES = {TEST: "hardly any difference can be shown", VALIDATION: "the best model is chosen by chance"}


def warnings(clips: list[Clip], validation: float, test: float, seed: int) -> list[str]:
    """A sentence for each side that is too small for its use, with a share that is large enough, if there is one.

    Args:
        validation, test, seed: how `split` has split the clips.
    """
    texts = [(entry.source, entry.text) for entry in clips]
    shares, sentences = {VALIDATION: validation, TEST: test}, []
    for side, use in _USES.items():
        count = sum(entry.split == side for entry in clips)
        if count >= FEW:
            continue
        remedy = "record more"
        if (share := _enough(texts, side, shares, seed)) is not None:
            remedy += f", or set prepare.{side} to {share:g} in params.yaml"
            shares = {**shares, side: share}
        sentences.append(f"warning: {side} has {count} clip(s), and with fewer than {FEW} {use}; {remedy}")
    return sentences


def _enough(texts: list[tuple[str, str]], side: str, shares: dict[str, float], seed: int) -> float | None:
    """The smallest share, in steps of 0.01, that gives a side FEW clips; None if no allowed share does."""
    for share in (hundredths / 100 for hundredths in range(1, 50)):
        wanted = {**shares, side: share}
        if wanted[VALIDATION] + wanted[TEST] > LARGEST:
            break
        if split(texts, wanted[VALIDATION], wanted[TEST], seed).count(side) >= FEW:
            return share
    return None
