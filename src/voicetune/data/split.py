"""Splits clips into three sides: one to train on, one to choose the best model, one to judge it. Pure functions."""

import hashlib
import unicodedata
from collections.abc import Sequence

from voicetune.errors import UserError

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
SIDES = (TRAIN, VALIDATION, TEST)


def split(clips: Sequence[tuple[str, str]], validation: float, test: float, seed: int) -> list[str]:
    """Put every clip into `train`, `validation` or `test`.

    The n different texts of a source are ordered by a hash. The first round(test * n) are its test texts, and the next
    round(validation * n) its validation texts. Each side gets at least one if the source has three texts or more. If
    sources disagree about a text, test wins over validation and validation over training, so a text that one source
    holds out is in no source's training. This has three consequences. The sides do not depend on the order of the
    clips. A new clip moves at most three other texts of its source. A change of the validation share does not change
    the test texts.

    The hash uses the seed and the text, not the source. So sources that share a script hold out the same part of it.
    Different parts would add up to far more than the share.

    Args:
        clips: (source, text) of each clip.
        validation, test: the shares of each source's texts, 0 to 1.
        seed: each seed gives another split.

    Returns:
        the side of each clip, in the order given.
    """
    texts: dict[str, set[str]] = {}
    for source, text in clips:
        texts.setdefault(source, set()).add(_fold(text))
    tested: set[str] = set()
    validated: set[str] = set()
    for own in texts.values():
        ordered = sorted(own, key=lambda text: _hash(seed, text))
        least = 1 if len(own) > 2 else 0
        first = max(round(test * len(own)), least)
        tested.update(ordered[:first])
        validated.update(ordered[first : first + max(round(validation * len(own)), least)])
    return [TEST if _fold(t) in tested else VALIDATION if _fold(t) in validated else TRAIN for _, t in clips]


def check_sides(sides: Sequence[str], left_out: str, remedy: str = "") -> None:
    """Check that each side has a clip, which the later stages need.

    Args:
        left_out: where a user reads why the other clips are not used; part of the error message.
        remedy: what to do about it, beside adding clips; empty if there is nothing.

    Raises:
        UserError: a side has no clip.
    """
    if missing := [side for side in SIDES if side not in sides]:
        remedies = f"{remedy}, or add clips" if remedy else "add clips"
        raise UserError(
            f"{len(sides)} clip(s) remain, and none is left for {' and '.join(missing)}: a source needs three different"
            f" texts, one to train on, one to choose the model and one to judge it; see {left_out} and {remedies}."
        )


def _fold(text: str) -> str:
    """Fold case, white space and Unicode form. Texts that differ in nothing else count as the same."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _hash(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()
