"""Reads subtitles beside long recordings or videos of the same name: film.srt and film.mkv. Each cue is a segment.

Sources: https://www.w3.org/TR/webvtt1, and what players read as SubRip (.srt).
"""

import bisect
import html
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from voicetune.data.readers import encodings, lists
from voicetune.data.readers.source import Source, fault_of, nfc, utterance
from voicetune.data.utterance import Recording, Segment, Utterance
from voicetune.errors import UserError, quoted

_ENDINGS = (".srt", ".vtt")
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_TAGS = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")  # of HTML and WebVTT; of ASS
_SPEAKER = re.compile(r"^\s*(?:[-–—]|>>+)\s*")  # begins what one of several speakers says
_NO_SPEECH = re.compile(r"♪|♫|\[[^\[\]]*\]")
_OVERLAP = 0.05  # seconds that two cues may share, because times are rounded


class SubtitlesSource(Source):
    """A folder of long recordings or videos with subtitles."""

    reader: Literal["subtitles"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        found = [path.name for path in lists.walk(folder) if path.suffix.lower() in _ENDINGS]
        return f"subtitles beside recordings ({', '.join(found[:3])})" if found else ""


class Cue(NamedTuple):
    """A cue. at: its file and line. start, end: in seconds, None if they cannot be read. lines: its text."""

    at: str
    start: float | None
    end: float | None
    lines: list[str]


def read(source: SubtitlesSource) -> list[Utterance]:
    """One utterance for each cue, and one without a text for each recording without subtitles.

    Raises:
        UserError: a recording has several subtitles; or a file has no cues, cannot be read, or has an unusable name.
    """
    folder = Path(source.path)
    found = lists.walk(folder)
    sounds = lists.sounds(found)
    written: dict[Path, list[Path]] = {}
    for path in (one for one in found if one.suffix.lower() in _ENDINGS):
        stem = Path(nfc(str(path.with_suffix(""))))
        written.setdefault(stem if stem in sounds else stem.with_suffix(""), []).append(path)  # film.en.srt
    utterances = []
    for stem in sorted(sounds.keys() | written.keys()):
        path = sounds.get(stem, Path(f"{stem}.mkv"))
        if stem in written:
            utterances += _of_cues(_chosen(written[stem], source), path, source)
        else:
            id = lists.id_of(path, folder)
            lists.check_id(id, source.name, str(path))
            utterances.append(utterance(source, id, "", Recording(path), f"missing subtitles: {stem}.srt"))
    return utterances


def _chosen(subtitles: list[Path], source: Source) -> Path:
    """The subtitles of a recording: the only ones, or the only ones in the source's language."""
    own = [path for path in subtitles if path.stem.endswith(f".{source.language}")]
    if len(subtitles) > 1 and len(own) != 1:
        raise UserError(f"{subtitles[0]} and {subtitles[1].name} belong to the same recording; remove one of them.")
    return own[0] if len(own) == 1 else subtitles[0]


def _of_cues(subtitles: Path, path: Path, source: Source) -> list[Utterance]:
    folder = Path(source.path)
    lists.check_inside(subtitles, folder)
    text = encodings.read_text(subtitles, "correct the source's path in params.yaml", source.language)
    cues = cues_of(text.split("\n"), subtitles)
    if not cues:
        raise UserError(
            f"{subtitles} holds no cues (lines such as 00:00:01,000 --> 00:00:02,500); replace or remove it."
        )
    whole = fault_of(path, folder)
    utterances = []
    for number, (cue, fault) in enumerate(zip(cues, _faults(cues), strict=True), start=1):
        id = f"{lists.id_of(path, folder)}-{number:04d}"
        lists.check_id(id, source.name, cue.at)
        origin = Segment(path, cue.start or 0.0, cue.end or 0.0)
        utterances.append(utterance(source, id, text_of(cue.lines), origin, whole or fault))
    return utterances


def cues_of(lines: list[str], path: Path) -> list[Cue]:
    """The cues of a file. Whatever is not below a line of times is skipped: numbers, names, notes and styles."""
    starts = [number for number, line in enumerate(lines) if "-->" in line]
    cues = []
    for number, following in itertools.pairwise([*starts, len(lines)]):
        below = lines[number + 1 : following]
        blank = next((i for i, line in enumerate(below) if not line.strip()), len(below))
        if blank == len(below) and following < len(lines) and below and below[-1].strip().isdigit():
            below.pop()  # the number of the next cue, without a blank line before it
        times = _TIMES.fullmatch(lines[number])
        start, end = (_seconds(times.groups()[:4]), _seconds(times.groups()[4:])) if times else (None, None)
        cues.append(Cue(f"{path}, line {number + 1}", start, end, below[:blank]))
    return cues


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = parts
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(f"{seconds}.{fraction}")


def _faults(cues: list[Cue]) -> list[str]:
    """Why each cue cannot be used; empty if it can."""
    faults = [_own_fault(cue) for cue in cues]
    good = [i for i, fault in enumerate(faults) if not fault or not fault.startswith("bad cue")]
    starts = {i: cue.start for i, cue in enumerate(cues) if cue.start is not None}
    ordered = _longest_in_order([(i, starts[i]) for i in good])
    for i in set(good) - set(ordered):
        faults[i] = f"bad cue: {cues[i].at} is out of order; correct its times"
    for one, other in itertools.pairwise(ordered):
        if starts[other] < (cues[one].end or 0) - _OVERLAP:
            for i in (one, other):
                faults[i] = f"bad cue: {cues[one].at} ends after the next one begins; correct their times"
    return faults


def _own_fault(cue: Cue) -> str:
    if cue.start is None or cue.end is None:
        return f"bad cue: {cue.at} has times that cannot be read; write such as 00:00:01,000 --> 00:00:02,500"
    if cue.end <= cue.start:
        return f"bad cue: {cue.at} ends before it begins; correct its times"
    if sum(bool(_SPEAKER.match(_TAGS.sub("", line))) for line in cue.lines) > 1:
        return f"two speakers: {cue.at} has a dash before several lines; make a cue for each"
    if mark := _NO_SPEECH.search(" ".join(cue.lines)):
        return f"not speech alone: {cue.at} has {quoted(mark.group(), 30)}; remove the cue"
    return ""


def _longest_in_order(starts: list[tuple[int, float]]) -> list[int]:
    """The numbers of the longest series of cues whose beginnings rise; so one wrong time is one fault."""
    last: list[float] = []  # the smallest beginning that ends a series of each length
    ends: list[int] = []  # the number of that cue
    before: dict[int, int | None] = {}
    for i, start in starts:
        length = bisect.bisect_right(last, start)
        before[i] = ends[length - 1] if length else None
        last[length:], ends[length:] = [start, *last[length + 1 :]], [i, *ends[length + 1 :]]
    series: list[int] = []
    at = ends[-1] if ends else None
    while at is not None:
        series.append(at)
        at = before[at]
    return series[::-1]


def text_of(lines: list[str]) -> str:
    """The words of a cue on one line, without tags and marks of speakers."""
    plain = (html.unescape(_TAGS.sub("", line)) for line in lines)
    return " ".join(" ".join(_SPEAKER.sub("", line) for line in plain).split())
