"""Finds a speaker's recordings in the sources of params.yaml."""

import contextlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voicetune.data.readers import READERS, lists, vctk
from voicetune.data.readers.long import LongSource
from voicetune.data.readers.source import Source
from voicetune.data.utterance import Segment, Speech, Utterance
from voicetune.errors import UserError

_LARGEST = 2**26  # bytes of a list
_OF_ONE = {*lists.EXTENSIONS, ".avi", ".txt", ".lab", ".srt", ".vtt", ".ass", ".textgrid"}  # files about one recording
_TOKENS = re.compile(r'[^\s,|;"\']+')
_MOST = 10  # parts of a recording, or lines of a list, in a sentence


@dataclass
class Found:
    """What a speaker has in data/raw, and who else is there.

    folders: nobody else is recorded there. files: sound files of the speaker in other folders, and what lies beside
    them under the same names. speakers: everybody in the sources. by_hand: sentences about
    what is not removed.
    """

    folders: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    speakers: set[str] = field(default_factory=set)
    by_hand: list[str] = field(default_factory=list)


def find(speaker: str, sources: Sequence[Source]) -> Found:
    """Find the recordings of a speaker. Nothing is said about a source whose folder is not here."""
    found = Found()
    people = [source for source in sources if source.of_people and os.path.lexists(source.path)]
    read = {source.name: _read(source, found) for source in people}
    found.speakers = {one.speaker for clips in read.values() for one in clips or ()}
    found.speakers |= {source.speaker for source in sources if isinstance(source, LongSource)}
    whose = _speakers_of_files([one for clips in read.values() for one in clips or ()])
    for source in people:
        clips, folder = read[source.name], Path(source.path)
        if clips is None:
            continue
        mine = [one for one in clips if one.speaker == speaker]
        if not mine and not (isinstance(source, LongSource) and source.speaker == speaker):
            continue
        if _speakers_in(folder, people, read) == {speaker}:
            found.folders += [folder] if folder not in found.folders else []
        else:
            files = _files_of(folder, mine, whose)
            found.files += [one for one in files if one not in found.files]
            found.by_hand += _rest_of(mine, whose, [one for one in lists.walk(folder) if one not in {*files, *whose}])
    return found


def _read(source: Source, found: Found) -> list[Utterance] | None:
    """All clips of a source, also those that `only_speakers` leaves out; none of a source that stage transcribe cuts,
    whose recordings are all of one speaker. None if it cannot be read."""
    if isinstance(source, LongSource):
        return []
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # which layout `auto` takes
            return READERS[type(source)](source)
    except UserError as error:
        found.by_hand.append(f"{source.path} cannot be read, so look into it yourself: {error}")
        return None


def _speakers_in(folder: Path, sources: Sequence[Source], read: dict[str, list[Utterance] | None]) -> set[str]:
    """Everybody in the sources that have a file in this folder. A source that cannot be read counts as a stranger."""
    found: set[str] = set()
    for source in sources:
        other = Path(source.path)
        if not (other.is_relative_to(folder) or folder.is_relative_to(other)):
            continue
        clips = read[source.name]
        found |= {""} if clips is None else {one.speaker for one in clips}
        if isinstance(source, LongSource):
            found.add(source.speaker)
    return found


def _speakers_of_files(clips: Sequence[Utterance]) -> dict[Path, set[str]]:
    whose: dict[Path, set[str]] = {}
    for one in clips:
        if not isinstance(one.origin, Speech):
            whose.setdefault(one.origin.path, set()).add(one.speaker)
    return whose


def _files_of(folder: Path, mine: Sequence[Utterance], whose: dict[Path, set[str]]) -> list[Path]:
    """The recordings in which only this speaker speaks, and the files that belong to them: texts and other formats of
    the same names, beside them or in another folder, and what lies in a folder with the speaker's name."""
    paths = {one.origin.path for one in mine if not isinstance(one.origin, Speech)}
    alone = {path for path in paths if len(whose[path]) == 1}
    names = {_name(path) for path in alone} - {_name(path) for path in whose.keys() - alone}
    beside = {(path.parent, _name(path)) for path in alone}
    others = [path for path in lists.walk(folder) if path not in whose and path.suffix.lower() in _OF_ONE]
    whole = {one.speaker for one in mine}
    more = [
        path
        for path in others
        if _name(path) in names or _is_of(path, beside) or whole & set(path.relative_to(folder).parts)
    ]
    return sorted(alone) + more


def _name(path: Path) -> str:
    """The name of a file without its extension, and without the number of VCTK's microphone."""
    return vctk.without_microphone(path.stem)


def _is_of(path: Path, recordings: set[tuple[Path, str]]) -> bool:
    """Whether a file lies beside a recording and has its name, such as film.en.srt beside film.mkv."""
    ends = [at for at, one in enumerate(path.name) if one == "."]
    return any((path.parent, _name(path.with_name(path.name[:end] + ".x"))) in recordings for end in ends if end)


def _rest_of(mine: Sequence[Utterance], whose: dict[Path, set[str]], others: Sequence[Path]) -> Iterator[str]:
    """What stays in a source that has other speakers too.

    Args:
        others: the files of its folder that are neither recordings nor removed.
    """
    shared: dict[Path, list[str]] = {}
    for one in mine:
        if not isinstance(one.origin, Speech) and len(whose[one.origin.path]) > 1:
            part = f"{one.origin.start:g} to {one.origin.end:g} s" if isinstance(one.origin, Segment) else "all of it"
            shared.setdefault(one.origin.path, []).append(part)
    for path, parts in shared.items():
        yield f"{path} has other speakers too; silence this speaker there: {_some(parts)}"
    speaker = mine[0].speaker
    alone = [one.origin.path for one in mine if not isinstance(one.origin, Speech) and len(whose[one.origin.path]) == 1]
    names = {speaker, *(path.stem for path in alone)}
    for path in others:
        if not lists.is_sound(path) and path.stat().st_size < _LARGEST and (lines := _lines_with(path, names)):
            yield f"{path} still names this speaker or these recordings; remove there: lines {_some(lines)}"


def _lines_with(path: Path, names: set[str]) -> list[str]:
    """The numbers of the lines that name one of these, as ranges."""
    lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    found = [number for number, line in enumerate(lines, start=1) if _named(line) & names]
    ranges: list[list[int]] = []
    for number in found:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return [f"{first}" if first == last else f"{first} to {last}" for first, last in ranges]


def _named(line: str) -> set[str]:
    """The words of a line, and the names of files in it without their extensions."""
    words = set(_TOKENS.findall(line))
    return words | {lists.stem(word.rpartition("/")[2]) for word in words}


def _some(parts: list[str]) -> str:
    return ", ".join(parts[:_MOST]) + (f" and {len(parts) - _MOST} more" if len(parts) > _MOST else "")
