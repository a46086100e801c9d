"""A text into parts that the model can speak at once.

XTTS is made for parts of so many characters, by language, and for so many text tokens. The stock splitter
(`TTS.tts.layers.xtts.tokenizer.split_sentence`) needs spacy; it joins sentences up to the limit and cuts what is
longer anywhere between words. Here a sentence that is too long is cut between clauses first, and each part knows
what it was cut at, so that a fitting pause can follow.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from TTS.tts.layers.xtts.tokenizer import _abbreviations

Break = Literal["paragraph", "sentence", "clause", "word", "character"]
_LEVELS: tuple[Break, ...] = ("sentence", "clause", "word", "character")
_TOGETHER = 0.4  # of the limit: shorter sentences share a part, as very short ones are spoken badly alone
_CLOSING = "[\"'”’»)\\]」』）]*"
_STOPS, _COMMAS = ".!?…؟।۔", ",;:،؛"
_ENDS = {  # a run of marks is matched once, from its first mark; else a text of marks alone would take minutes
    "sentence": re.compile(rf"(?<![{_STOPS}])[{_STOPS}]++{_CLOSING}+(?=\s)|[。！？]+{_CLOSING}"),
    "clause": re.compile(rf"(?<![{_COMMAS}])[{_COMMAS}]++{_CLOSING}+(?=\s)|\s[-–—]++(?=\s)|—|[，、；：]+{_CLOSING}"),
    "word": re.compile(r"\s+"),
    "character": re.compile(r"."),
}
_INITIAL = re.compile(r"(?:^|[\s.])[^\W\d_]$")
_NEXT = re.compile(r"\s*(\S?)")


@dataclass(frozen=True)
class Part:
    """What is spoken at once, and what it was cut at."""

    text: str
    ends_at: Break


def split(text: str, language: str, limit: int, fits: Callable[[str], bool]) -> list[Part]:
    """Cut a text where it hurts least; joined, the parts are the text up to white space.

    Args:
        limit: most characters of a part.
        fits: whether the model takes a part of so few characters.
    """

    def whole(part: str) -> bool:
        return len(part.strip()) <= limit and fits(part.strip())

    parts = []
    for paragraph in filter(None, (p.strip() for p in text.splitlines())):
        *before, last = _cut(paragraph, 0, language, int(limit * _TOGETHER), whole)
        parts += [*before, Part(last.text, "paragraph")]
    return parts


def _cut(text: str, level: int, language: str, together: int, whole: Callable[[str], bool]) -> Iterator[Part]:
    """Parts of a text that is cut at this level, and further down where that is not enough."""
    kind = _LEVELS[level]
    pieces = deque(_pieces(text, kind, language))
    while pieces:
        taken = pieces.popleft()
        if not whole(taken) and level + 1 < len(_LEVELS):
            *before, last = _cut(taken, level + 1, language, together, whole)
            yield from before
            yield Part(last.text, kind)
            continue
        while pieces and (kind != "sentence" or len(taken + pieces[0]) <= together) and whole(taken + pieces[0]):
            taken += pieces.popleft()
        if taken.strip():
            yield Part(taken.strip(), kind)


def _pieces(text: str, kind: Break, language: str) -> list[str]:
    """The text between the places where it may be cut, with the white space that follows each."""
    short = _abbreviated(text, language) if kind == "sentence" else set()
    places = []
    for end in _ENDS[kind].finditer(text):
        after = text[end.end() : end.end() + 1]
        if kind == "character" and after and unicodedata.category(after).startswith("M"):
            continue  # a sign that belongs to the character before
        if kind == "sentence" and _goes_on(text, end, short):
            continue
        places.append(end.end())
    bounds = [0, *places, len(text)]
    return [text[a:b] for a, b in pairwise(bounds) if a < b]


def _abbreviated(text: str, language: str) -> set[int]:
    """Where the abbreviations of a text end, after their full stop."""
    return {found.end() for known, _ in _abbreviations.get(language, ()) for found in known.finditer(text)}


def _goes_on(text: str, mark: re.Match, short: set[int]) -> bool:
    """Whether a sentence goes on after a mark: a small letter follows, or the mark ends an abbreviation or an initial.

    Looks only at what stands beside the mark, since a long text has thousands of them.
    """
    if (follows := _NEXT.match(text, mark.end())) and follows[1].islower():
        return True
    if mark.group() != ".":
        return False
    return mark.end() in short or _INITIAL.search(text, max(0, mark.start() - 2), mark.start()) is not None
