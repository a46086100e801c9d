"""Puts the words of a transcript in the place of the words that the recogniser wrote.

Both are aligned, word by word, so that they differ in as few words as possible (Levenshtein). A word that both have
takes its times from the recogniser. Where they differ, the transcript's words share the time between them.
"""

import re
import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from voicetune import files
from voicetune.data.readers import encodings, lists, subtitles, tables
from voicetune.data.readers.source import Source
from voicetune.errors import UserError, quoted
from voicetune.transcripts.recognition import Word

ENDINGS = (".txt", ".srt", ".vtt")
LIST = "transcripts.csv"
"""One list of the transcripts of all recordings of a source, with the header `file,text`."""
_SOUNDS = re.compile(r"\[[^\]]*\]|\([^)]*\)|[♪♫]+")  # [music], (laughs)
_NO_SPACES = ("zh", "ja")


class AlignedWord(NamedTuple):
    """A word to say and what the recogniser wrote in its place; one of both may be empty."""

    text: str
    recognised: str
    start: float
    end: float
    probability: float


def transcript_of(path: Path) -> Path | None:
    """The transcript beside a recording: its name with .txt, .srt or .vtt; None if there is none."""
    return next((one for ending in ENDINGS if files.is_file(one := path.with_suffix(ending))), None)


def read(path: Path, language: str) -> str:
    """The words of a transcript or of subtitles, without times, tags and [sounds].

    Args:
        language: what is spoken; it helps to find the encoding.

    Raises:
        UserError: it cannot be read, or holds no words.
    """
    text = encodings.read_text(path, "restore it", language)
    if path.suffix != ".txt":
        text = " ".join(subtitles.text_of(cue.lines) for cue in subtitles.cues_of(text.split("\n"), path))
    return _words(text, f"{path} holds no words; write what is said there, or remove it.")


def read_list(source: Source, paths: Collection[Path]) -> dict[Path, str]:
    """The words of each recording that LIST in a source's folder names, by its path. Empty if there is no such list.

    Args:
        paths: the source's recordings.

    Raises:
        UserError: see `tables.rows`; a row names none of the recordings, or one that an earlier row names; or a text
            holds no words.
    """
    folder = Path(source.path)
    if not files.is_file(folder / LIST):
        return {}
    texts: dict[Path, str] = {}
    first: dict[str, str] = {}
    for at, row in tables.rows(folder / LIST, ",", ("file", "text"), source):
        path = lists.recording(folder, row["file"])
        if path not in paths:
            raise UserError(f"{at} names {quoted(row['file'])}, which is no recording of {folder}; correct the name.")
        lists.check_once(row["file"], str(path), at, first)
        texts[path] = _words(row["text"], f"{at} holds no words; write what is said there, or remove the line.")
    return texts


def _words(text: str, fault: str) -> str:
    """A transcript without [sounds], in NFC. A UserError with this fault if no words are left."""
    text = " ".join(_SOUNDS.sub(" ", text).split())
    if not _plain(text):
        raise UserError(fault)
    return unicodedata.normalize("NFC", text)


def unmatched(words: list[Word]) -> list[AlignedWord]:
    """The recogniser's own words."""
    return [AlignedWord(w.text, w.text, w.start, w.end, w.probability) for w in words]


def match(words: list[Word], transcript: str, language: str) -> list[AlignedWord]:
    """The transcript's words, each with its time and with what was recognised there."""
    from rapidfuzz.distance import Levenshtein

    texts = [f" {one}" for one in transcript.split()]
    if language in _NO_SPACES:
        texts = list(transcript.replace(" ", ""))
    recognised = [piece for w in words for piece in (_letters(w) if language in _NO_SPACES else [w])]
    found: list[AlignedWord] = []
    for one in Levenshtein.opcodes([_plain(word.text) for word in recognised], [_plain(text) for text in texts]):
        new, old = texts[one.dest_start : one.dest_end], recognised[one.src_start : one.src_end]
        if one.tag == "equal":
            pairs = zip(new, old, strict=True)
            found += [AlignedWord(text, w.text, w.start, w.end, w.probability) for text, w in pairs]
        else:
            following = recognised[one.src_end : one.src_end + 1]
            found += _shared(new, old, found, following[0].start if following else None)
    return found


def _shared(
    texts: list[str], recognised: list[Word], before: list[AlignedWord], after: float | None
) -> list[AlignedWord]:
    """Words that differ: the texts share the time of what was recognised, by their numbers of characters."""
    if not texts:
        return [AlignedWord("", w.text, w.start, w.end, w.probability) for w in recognised]
    start = recognised[0].start if recognised else before[-1].end if before else (after or 0.0)
    end = recognised[-1].end if recognised else max(start, after if after is not None else start)
    characters, at, found = sum(map(len, texts)), 0, []
    probability = min((word.probability for word in recognised), default=0.0)
    for text in texts:
        first, last = (start + (end - start) * part / characters for part in (at, at + len(text)))
        at += len(text)
        there = [word.text for word in recognised if first <= (word.start + word.end) / 2 < last]
        found.append(AlignedWord(text, "".join(there), first, last, probability))
    return found


def _letters(word: Word) -> list[Word]:
    """The characters of a word, each with its share of the time."""
    text = word.text.strip()
    step = (word.end - word.start) / max(1, len(text))
    return [
        Word(text=one, start=word.start + i * step, end=word.start + (i + 1) * step, probability=word.probability)
        for i, one in enumerate(text)
    ]


def agreement(text: str, recognised: str, language: str) -> float:
    """How much two texts agree: 1 if they have the same letters, 0 if they share none. Numbers may be spelt out."""
    if _plain(text) == _plain(recognised):
        return 1.0
    from rapidfuzz import fuzz

    from voicetune.recognition.readings import nearest  # imports torch

    return fuzz.ratio(*nearest(text, recognised, language)) / 100


def _plain(text: str) -> str:
    """The letters and digits of a text, in lower case."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum() or unicodedata.combining(c))
