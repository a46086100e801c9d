"""Which clips train and which measure. Pure: texts in, sides out."""

import hashlib
import unicodedata
from collections.abc import Sequence

TRAIN = "train"
HELD_OUT = "held_out"


def split(clips: Sequence[tuple[str, str]], held_out: float, seed: int) -> list[str]:
    """Seat every clip in `train` or `held_out`.

    Each source holds out the round(held_out * n) of its n different texts with the smallest hashes, at
    least one if it has two. A text held out in one source is held out in all. So the sides do not depend
    on the order of the clips, and a clip that is added moves at most one other text of its source.

    The hash is of seed and text, not of the source: sources that share a script hold out the same part
    of it, where different parts would add up to far more than the share.

    Args:
        clips: (source, text) of each clip.
        held_out: the share of each source's texts, 0 to 1.
        seed: another seed, another split.

    Returns:
        one side a clip, in the order given.
    """
    texts: dict[str, set[str]] = {}
    for source, text in clips:
        texts.setdefault(source, set()).add(same(text))
    chosen: set[str] = set()
    for own in texts.values():
        count = max(round(held_out * len(own)), 1 if len(own) > 1 else 0)
        chosen.update(sorted(own, key=lambda text: _hash(seed, text))[:count])
    return [HELD_OUT if same(text) in chosen else TRAIN for _, text in clips]


def same(text: str) -> str:
    """What two texts share if they count as the same: case, white space and Unicode form do not matter."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _hash(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()
