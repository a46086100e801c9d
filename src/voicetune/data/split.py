"""Which clips train, which choose the best model and which judge it. Pure: texts in, sides out."""

import hashlib
import unicodedata
from collections.abc import Sequence

from voicetune.errors import UserError

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
SIDES = (TRAIN, VALIDATION, TEST)
FEW = 6
"""Validation or test clips below which `prepare` warns. A 95 % interval over so few clips is wider than their spread
alone would make it, by the t distribution: 1.3 times for 6 clips, 1.6 times for 4, 6.5 times for 2."""


def split(clips: Sequence[tuple[str, str]], validation: float, test: float, seed: int) -> list[str]:
    """Put every clip into `train`, `validation` or `test`.

    The n different texts of a source are ordered by a hash. The first round(test * n) are its test texts, the next
    round(validation * n) its validation texts, and at least one each where the source has three texts. A text that is
    held out of one source's training is held out of all: test goes before validation, validation before training. So
    the sides do not depend on the order of the clips, a clip that is added moves at most two other texts of its source,
    and another share of validation leaves the test texts as they are.

    The hash is of seed and text, not of the source: sources that share a script hold out the same part of it, where
    different parts would add up to far more than the share.

    Args:
        clips: (source, text) of each clip.
        validation, test: the shares of each source's texts, 0 to 1.
        seed: another seed, another split.

    Returns:
        one side a clip, in the order given.
    """
    texts: dict[str, set[str]] = {}
    for source, text in clips:
        texts.setdefault(source, set()).add(same(text))
    tested: set[str] = set()
    validated: set[str] = set()
    for own in texts.values():
        ordered = sorted(own, key=lambda text: _hash(seed, text))
        least = 1 if len(own) > 2 else 0
        first = max(round(test * len(own)), least)
        tested.update(ordered[:first])
        validated.update(ordered[first : first + max(round(validation * len(own)), least)])
    return [TEST if same(t) in tested else VALIDATION if same(t) in validated else TRAIN for _, t in clips]


def check_sides(sides: Sequence[str], left_out: str) -> None:
    """One clip of each side is the least that the stages after this one can work with.

    Args:
        left_out: where it says why the other clips are not used.

    Raises:
        UserError: a side has no clip.
    """
    if missing := [side for side in SIDES if side not in sides]:
        raise UserError(
            f"{len(sides)} clip(s) remain, and none is left for {' and '.join(missing)}: a source needs three different"
            f" texts, one to train on, one to choose the model and one to judge it; see {left_out} and add clips."
        )


def same(text: str) -> str:
    """What two texts share if they count as the same: case, white space and Unicode form do not matter."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _hash(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()
