"""Cuts speech into clips: at pauses, best where a sentence ends, to the lengths that the model takes.

A clip ends only in a pause of the sound. The recogniser's times are loose by up to 0.2 s, so they never say where to
cut; they only say which words stand before a pause. If they do not say that clearly, the pause is not used.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from voicetune.transcripts.matching import AlignedWord

_ENDS = tuple(".?!。？！…।؟")  # of sentences
_CLOSING = "\"'”’»)]」』"
_ASTRIDE = 0.25, 0.06  # share of a word's time, and seconds, from which it counts as lying on both sides of a pause
_LOOSE, _LONG = 0.2, 0.5  # seconds: how loose times are, and from which length a pause is longer than that
_NEAR = 0.4  # seconds; a sound without words belongs to the stretch that is so near
_TOUCH = 0.05  # seconds; a shorter gap is no pause
_CLICK = 0.2  # seconds; a shorter sound without words is no speech
_MISSED = 1.0  # seconds; a longer sound without words is speech that the recogniser has missed
_INNER = 0.8  # seconds; no clip has a longer pause inside
_SHORT = 3.0  # seconds; a clip is not shorter, if it can be longer
_MARGIN = 0.15  # seconds of a pause that stay at each end of a clip
_FASTEST, _SLOWEST = 30, 2  # characters a second; what lies beyond has the wrong text
_UNUSED = 20.0  # the cost of leaving a phrase out


class Stretch(NamedTuple):
    """Speech between two pauses. cut: where it may be cut after it. reason: why it cannot be used; empty if it can."""

    start: float
    end: float
    cut: float
    reason: str = ""


@dataclass(frozen=True)
class Phrase:
    """Speech between two pauses, with its words; see `Stretch`. before: where it may be cut before it."""

    start: float
    end: float
    before: float
    cut: float
    words: tuple[AlignedWord, ...]
    reason: str = ""

    @property
    def text(self) -> str:
        return "".join(word.text for word in self.words)

    @property
    def recognised(self) -> str:
        return "".join(word.recognised for word in self.words)


def phrases(stretches: list[Stretch], words: list[AlignedWord]) -> list[Phrase]:
    """Give each stretch of speech its words. Stretches are joined where a word may lie on both sides of the pause.

    Args:
        words: in their order.
    """
    of: list[list[AlignedWord]] = [[] for _ in stretches]
    joined = [_touch(*both) for both in pairwise(stretches[:1] + stretches)]  # with the one before
    at = 0
    for word in words if stretches else ():
        at, last = _places(word, stretches, at)
        joined[at + 1 : last + 1] = [True] * (last - at)
        of[at].append(word)
    for i, one in enumerate(stretches):
        if not of[i] and not joined[i] and _CLICK <= one.end - one.start < _MISSED:
            _join_nearest(i, stretches, joined)
    found: list[Phrase] = []
    for i, one in enumerate(stretches):
        before = stretches[i - 1].cut if i else 0.0
        if joined[i] and found and found[-1].cut == before and found[-1].reason == one.reason:
            found[-1] = replace(found[-1], end=one.end, cut=one.cut, words=(*found[-1].words, *of[i]))
        elif of[i] or one.end - one.start >= _CLICK:
            found.append(Phrase(one.start, one.end, before, one.cut, tuple(of[i]), one.reason))
    return found


def _touch(before: Stretch, after: Stretch) -> bool:
    """Whether there is no pause between two stretches. A recording without pauses is transcribed in parts too."""
    return before is not after and after.start - before.end < _TOUCH


def _places(word: AlignedWord, stretches: list[Stretch], at: int) -> tuple[int, int]:
    """The first and the last stretch that a word may lie in, none of them before `at`."""
    overlaps: dict[int, float] = {}
    nearest, least = at, float("inf")
    for i in range(at, len(stretches)):
        start, end = stretches[i].start, stretches[i].end
        if (distance := max(start - word.end, word.start - end, 0.0)) < least:
            nearest, least = i, distance
        if start > word.end:
            break
        overlaps[i] = min(end, word.end) - max(start, word.start)
    whole = sum(one for one in overlaps.values() if one > 0)
    share, seconds = _ASTRIDE
    inside = [i for i, one in overlaps.items() if one >= max(share * whole, seconds)]
    if inside:  # a word that is stretched over a long pause belongs to the side where most of it lies
        main = max(inside, key=lambda i: overlaps[i])
        inside = [i for i in inside if overlaps[i] >= _LOOSE or _gap(stretches, i, main) < _LONG]
    usable = [i for i in inside if not stretches[i].reason]
    if usable and len(usable) < len(inside):
        inside = [max(usable, key=lambda i: overlaps[i])]
    if not inside:
        best = max(overlaps, key=lambda i: overlaps[i], default=nearest)
        inside = [best if overlaps.get(best, 0) > 0 else nearest]
    return inside[0], inside[-1]


def _gap(stretches: list[Stretch], one: int, other: int) -> float:
    """Seconds between two stretches; below 0 if they are the same."""
    first, last = min(one, other), max(one, other)
    return stretches[last].start - stretches[first].end


def _join_nearest(i: int, stretches: list[Stretch], joined: list[bool]) -> None:
    """Join a stretch without words with its neighbour, as it may hold that one's first or last word."""
    before = stretches[i].start - stretches[i - 1].end if i else float("inf")
    after = stretches[i + 1].start - stretches[i].end if i + 1 < len(stretches) else float("inf")
    if min(before, after) < _NEAR:
        joined[i if before <= after else i + 1] = True


@dataclass(frozen=True)
class Piece:
    """Phrases that become one clip, or that are left out. start, end: with a margin of silence."""

    start: float
    end: float
    speech: float
    text: str
    recognised: str
    probability: float
    reason: str = ""


def clips(found: list[Phrase], shortest: float, longest: float, characters: int) -> list[Piece]:
    """Join phrases to clips, and tell which cannot be used.

    The best way is that with the lowest cost (dynamic programming): it costs to end a clip within a sentence, the less
    the longer the pause is; to make a clip shorter than 3 s; and most of all to leave a phrase out. Where nothing else
    matters, each sentence is a clip.

    Args:
        shortest, longest: seconds of a clip.
        characters: the most that a clip's text may have.
    """
    best, since = [0.0], [0]
    for end in range(1, len(found) + 1):
        options = [(best[end - 1] + _UNUSED, end - 1)]
        for first in range(end - 1, -1, -1):
            group = found[first:end]
            if not _fits(group, longest, characters):
                break
            if not _fault(group, shortest, longest, characters):
                options.append((best[first] + _cost(group, found[end : end + 1]), first))
        cost, first = min(options)
        best.append(cost)
        since.append(first)
    pieces, end = [], len(found)
    while end:
        group = found[since[end] : end]
        pieces.append(_piece(group, _fault(group, shortest, longest, characters)))
        end = since[end]
    return pieces[::-1]


def _fits(group: list[Phrase], longest: float, characters: int) -> bool:
    """Whether a group may become a clip if more phrases are put before it."""
    pauses = [after.start - before.end for before, after in pairwise(group)]
    whole = len(group) == 1 or all(phrase.text.strip() and not phrase.reason for phrase in group)
    return whole and _length(group) <= longest and len(_text(group)) <= characters and max(pauses, default=0) <= _INNER


def _fault(group: list[Phrase], shortest: float, longest: float, characters: int) -> str:
    """Why a group of phrases is no clip; empty if it is one."""
    seconds, text = _length(group), _text(group)
    if group[0].reason:
        return group[0].reason
    if not text:
        return "speech without words" if not "".join(one.recognised for one in group) else "not in the transcript"
    if seconds > longest:
        return f"no pause to cut at in {seconds:.1f} s"
    if seconds < shortest:
        return f"too short: {seconds:.2f} s between longer pauses"
    if len(text) > characters:
        return f"text too long: {len(text)} characters without a pause, at most {characters}"
    rate = len(text) / seconds
    if rate > _FASTEST or (rate < _SLOWEST and seconds > 2):
        return f"{rate:.1f} characters a second, so the text is not what is said"
    return ""


def _cost(group: list[Phrase], following: list[Phrase]) -> float:
    pause = following[0].start - group[-1].end if following else 1.0
    seconds = _length(group)
    within = 0.0 if _ends_sentence(_text(group)) else 4.0 / (1.0 + 10.0 * min(pause, _INNER))
    return within + max(0.0, _SHORT - seconds) / 2 + 0.005 * seconds**2


def _ends_sentence(text: str) -> bool:
    return text.rstrip(_CLOSING).endswith(_ENDS)


def _length(group: list[Phrase]) -> float:
    return group[-1].end - group[0].start


def _text(group: list[Phrase]) -> str:
    return " ".join("".join(one.text for one in group).split())


def _piece(group: list[Phrase], reason: str) -> Piece:
    words = [word for phrase in group for word in phrase.words]
    start, end = max(group[0].before, group[0].start - _MARGIN), min(group[-1].cut, group[-1].end + _MARGIN)
    recognised = " ".join("".join(one.recognised for one in group).split())
    probability = sum(word.probability for word in words) / len(words) if words else 0.0
    return Piece(start, end, sum(one.end - one.start for one in group), _text(group), recognised, probability, reason)
