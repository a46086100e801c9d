"""Split a text into parts that the model can speak at once.

A model limits the characters of a part, depending on the language, and its text tokens. XTTS's own splitter
(`TTS.tts.layers.xtts.tokenizer.split_sentence`) needs spacy. It joins sentences up to the limit, and cuts a longer
sentence anywhere between words. This module cuts a sentence that is too long between clauses first. Each part records
what it was cut at, so that a fitting pause can follow.
"""

import re
import unicodedata
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Literal

Break = Literal["paragraph", "sentence", "clause", "word", "character"]
_LEVELS: tuple[Break, ...] = ("sentence", "clause", "word", "character")
_TOGETHER = 0.4  # share of the limit up to which sentences are joined, because very short ones are spoken badly alone
_FIRST = (0.08, 0.24)  # shares of the limit between which a short first part ends
_CLOSING = "[\"'”’»)\\]」』）]*"
_STOPS, _COMMAS = ".!?…؟।۔", ",;:،؛"
_ENDS = {  # a run of marks is matched once, from its first mark; otherwise a text of marks alone would take minutes
    "sentence": re.compile(rf"(?<![{_STOPS}])[{_STOPS}]++{_CLOSING}+(?=\s)|[。！？]+{_CLOSING}"),
    "clause": re.compile(rf"(?<![{_COMMAS}])[{_COMMAS}]++{_CLOSING}+(?=\s)|\s[-–—]++(?=\s)|—|[，、；：]+{_CLOSING}"),
    "word": re.compile(r"\s+"),
    "character": re.compile(r"."),
}
_INITIAL = re.compile(r"(?:^|[\s.])[^\W\d_]$")
_NEXT = re.compile(r"\s*(\S?)")


@dataclass(frozen=True)
class Part:
    """A text that is spoken at once, and the kind of break after it."""

    text: str
    ends_at: Break


def split_text(
    text: str,
    limit: int,
    fits: Callable[[str], bool],
    abbreviations: Sequence[re.Pattern[str]] = (),
    soon: bool = False,
) -> list[Part]:
    """Cut a text at the places that disturb it least. Joined, the parts give the text again, except for white space.

    Args:
        limit: the most characters of a part.
        fits: whether the model takes a part; only asked for parts within `limit`.
        abbreviations: patterns of abbreviations with a full stop that ends no sentence.
        soon: whether a text of more than 0.4 times the limit begins with a short part, so that it is heard sooner.
    """

    def whole(part: str) -> bool:
        return len(part.strip()) <= limit and fits(part.strip())

    parts = []
    for paragraph in filter(None, (p.strip() for p in text.splitlines())):
        *before, last = _cut(paragraph, 0, abbreviations, int(limit * _TOGETHER), whole)
        parts += [*before, Part(last.text, "paragraph")]
    if soon and len(text) > limit * _TOGETHER:
        parts[:1] = [piece for first in parts[:1] for piece in _begin_soon(first, limit, abbreviations)]
    return parts


def _begin_soon(first: Part, limit: int, abbreviations: Sequence[re.Pattern[str]]) -> list[Part]:
    """Cut a long first part after its first sentence, or else its first clause, of 0.08 to 0.24 times the limit.

    It stays as it is if there is no such place, or if less than 0.08 times the limit would be left.
    """
    least, most = (limit * share for share in _FIRST)
    kinds: tuple[Break, ...] = ("sentence", "clause") if len(first.text) > most else ()
    for kind in kinds:
        for begin in accumulate(_pieces(first.text, kind, abbreviations)):
            rest = first.text[len(begin) :]
            if least <= len(begin.strip()) <= most and len(rest) >= least:
                return [Part(begin.strip(), kind), Part(rest.strip(), first.ends_at)]
    return [first]


def _cut(
    text: str, level: int, abbreviations: Sequence[re.Pattern[str]], together: int, whole: Callable[[str], bool]
) -> Iterator[Part]:
    """Cut a text at the breaks of this level. A piece that is still too long is cut at the next level."""
    kind = _LEVELS[level]
    bounds = _bounds(text, kind, abbreviations)

    def joined(start: int, count: int) -> bool:
        piece = text[bounds[start] : bounds[start + count]]
        return (kind != "sentence" or len(piece) <= together) and whole(piece)

    start = 0
    while start < len(bounds) - 1:
        taken = text[bounds[start] : bounds[start + 1]]
        if not whole(taken) and level + 1 < len(_LEVELS):
            *before, last = _cut(taken, level + 1, abbreviations, together, whole)
            yield from before
            yield Part(last.text, kind)
            start += 1
            continue
        count = _most(partial(joined, start), len(bounds) - 1 - start)
        taken = text[bounds[start] : bounds[start + count]]
        start += count
        if taken.strip():
            yield Part(taken.strip(), kind)


def _most(fits: Callable[[int], bool], every: int) -> int:
    """The most pieces that fit together, at least one. Fewer of them fit, too, so few are tried: each trial is slow."""
    reach = 2
    while reach <= every and fits(reach):
        reach *= 2
    tried = range(reach // 2 + 1, min(reach, every + 1))
    return reach // 2 + bisect(tried, False, key=lambda count: not fits(count))


def _pieces(text: str, kind: Break, abbreviations: Sequence[re.Pattern[str]]) -> list[str]:
    """The pieces of a text between the places where it may be cut, each with the white space after it."""
    return [text[a:b] for a, b in pairwise(_bounds(text, kind, abbreviations))]


def _bounds(text: str, kind: Break, abbreviations: Sequence[re.Pattern[str]]) -> list[int]:
    """The positions where a text may be cut, with its beginning and its end."""
    short = _abbreviated(text, abbreviations) if kind == "sentence" else set()
    places = []
    for end in _ENDS[kind].finditer(text):
        after = text[end.end() : end.end() + 1]
        if kind == "character" and after and unicodedata.category(after).startswith("M"):
            continue  # a combining mark, which belongs to the character before
        if kind == "sentence" and _goes_on(text, end, short):
            continue
        places.append(end.end())
    return list(dict.fromkeys([0, *places, len(text)]))


def _abbreviated(text: str, abbreviations: Sequence[re.Pattern[str]]) -> set[int]:
    """The positions after the full stop of each abbreviation in a text."""
    return {found.end() for known in abbreviations for found in known.finditer(text)}


def _goes_on(text: str, mark: re.Match, short: set[int]) -> bool:
    """Whether a sentence goes on after a mark: a small letter follows, or the mark ends an abbreviation or an initial.

    It looks only at the characters beside the mark, because a long text has thousands of marks.
    """
    if (follows := _NEXT.match(text, mark.end())) and follows[1].islower():
        return True
    if mark.group() != ".":
        return False
    return mark.end() in short or _INITIAL.search(text, max(0, mark.start() - 2), mark.start()) is not None
