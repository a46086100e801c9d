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
_TWO_MICROPHONES = "wav48_silence_trimmed"  # VCTK's folder of recordings such as p225_001_mic1.flac
_MOST = 10  # parts of a recording, or lines of a list, in a sentence


@dataclass
class Found:
    """What a speaker has in data/raw, and who else is there.

    folders: nobody else is recorded there. files: sound files of the speaker in other folders, and what belongs to
    them, see `_files_of`. others: the recordings of others, also those in which the speaker speaks too. speakers:
    everybody in the sources. by_hand: sentences about what is not removed.
    """

    folders: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
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
    whose |= {path: {name} for path, name in _long_of_others(speaker, people) if path not in whose}
    found.others = [path for path, names in whose.items() if names != {speaker}]
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
            files, unsure = _files_of(folder, speaker, mine, whose)
            found.files += [one for one in files if one not in found.files]
            known = {*files, *unsure, *whose}
            if isinstance(source, LongSource):
                found.by_hand.append(f"{folder} has long recordings of this speaker and of others; remove them by hand")
            found.by_hand += _unlisted(unsure)
            found.by_hand += _rest_of(speaker, mine, whose, [one for one in lists.walk(folder) if one not in known])
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


def _long_of_others(speaker: str, sources: Sequence[Source]) -> Iterator[tuple[Path, str]]:
    """The long recordings of other speakers, which no list names."""
    for source in sources:
        if isinstance(source, LongSource) and source.speaker != speaker:
            yield from ((path, source.speaker) for path in lists.walk(Path(source.path)) if is_sound(path))


def _files_of(
    folder: Path, speaker: str, mine: Sequence[Utterance], whose: dict[Path, set[str]]
) -> tuple[list[Path], list[Path]]:
    """The files of a speaker in a source that has other speakers too.

    A sound that no list names may be of anybody, even under the name of a recording of this speaker: another speaker
    may have the same numbers, and no texts yet.

    Returns:
        the recordings in which only this speaker speaks, and the files that belong to them: other formats and texts
            beside them, what lies in a folder with the speaker's name, and texts of the same names elsewhere.
        unlisted files that may be of this speaker, or of others.
    """
    alone = {one.origin.path for one in mine if not isinstance(one.origin, Speech) and len(whose[one.origin.path]) == 1}
    strangers = {path for path, names in whose.items() if names != {speaker} and path.is_relative_to(folder)}
    names = {_name(path) for path in alone} - {_name(path) for path in strangers}
    beside, theirs = ({(path.parent, _name(path)) for path in paths} for paths in (alone, strangers))
    others = [path for path in lists.walk(folder) if path not in whose and path.suffix.lower() in _OF_ONE]
    others = [path for path in others if not _is_of(path, theirs)]
    named = [path for path in others if mine and speaker in path.relative_to(folder).parts[:-1]]
    own = set(_own_of(folder, speaker, named, whose, strangers))
    close = {path for path in others if _is_of(path, beside)}
    longer = {(one.parent, _name(one)) for one in close if is_sound(one)} - beside  # film.bela beside film.wav
    other = {path for path in close if _is_of(path, longer)}
    sure = own | (close - other)
    rest = [path for path in others if path not in sure]
    unsure = {_name(path) for path in rest if is_sound(path)}
    texts = {path for path in rest if not is_sound(path) and _name(path) in names - unsure}
    maybe = {*named, *other}
    left = [path for path in rest if path not in texts and (_name(path) in names or path in maybe)]
    return sorted(alone) + [path for path in others if path in sure | texts], left


def _own_of(
    folder: Path, speaker: str, named: list[Path], whose: dict[Path, set[str]], strangers: set[Path]
) -> Iterator[Path]:
    """Which of these files, that lie in a folder with the speaker's name, are in one where the lists name nobody else.

    Args:
        strangers: the recordings of others.
    """
    mixed = {place for path in strangers for place in path.parents}
    people = {name for names in whose.values() for name in names} - {speaker}
    for path in named:
        inside = [place for place in path.parents if place != folder and place.is_relative_to(folder)]
        if not people & {place.name for place in inside} and any(
            place.name == speaker and place not in mixed for place in inside
        ):
            yield path


def is_sound(path: Path) -> bool:
    """Whether a file has a sound in it. An .avi is a film, which the reader `long` reads."""
    return lists.is_sound(path) or path.suffix.lower() == ".avi"


def _unlisted(unsure: list[Path]) -> Iterator[str]:
    if unsure:
        yield (
            "no list says whose these files are, and they may be of this speaker:"
            f" {_some([str(path) for path in unsure])}; listen to them, and remove by hand those that are"
        )


def _name(path: Path) -> str:
    """The name of a file without its extension, and without the number of VCTK's microphone."""
    return vctk.without_microphone(path.stem) if _TWO_MICROPHONES in path.parts else path.stem


def _is_of(path: Path, recordings: set[tuple[Path, str]]) -> bool:
    """Whether a file lies beside a recording and has its name, such as film.en.srt beside film.mkv."""
    ends = [at for at, one in enumerate(path.name) if one == "."]
    return any((path.parent, _name(path.with_name(path.name[:end] + ".x"))) in recordings for end in ends if end)


def _rest_of(
    speaker: str, mine: Sequence[Utterance], whose: dict[Path, set[str]], others: Sequence[Path]
) -> Iterator[str]:
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
    alone = [one.origin.path for one in mine if not isinstance(one.origin, Speech) and len(whose[one.origin.path]) == 1]
    names = {speaker, *(path.stem for path in alone)}
    for path in others:
        if not is_sound(path) and path.stat().st_size < _LARGEST and (lines := _lines_with(path, names)):
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
