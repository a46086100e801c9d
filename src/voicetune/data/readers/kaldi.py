"""Reads data folders of Kaldi: wav.scp and text, and where they exist, segments and utt2spk.

Source: https://kaldi-asr.org/doc/data_prep.html
"""

import math
import os
import re
from pathlib import Path
from typing import Literal, NamedTuple

from voicetune.data.readers import lists
from voicetune.data.readers.source import Source, fault_of, nfc, utterance
from voicetune.data.utterance import Origin, Recording, Segment, Utterance
from voicetune.errors import UserError, quoted

_FORMS = {
    "wav.scp": "`id path`",
    "text": "`id text`",
    "segments": "`id recording start end`, with the times in seconds",
    "utt2spk": "`id speaker`",
}


class KaldiSource(Source):
    """A data folder of Kaldi. `speaker` is the speaker of the clips that utt2spk does not list."""

    reader: Literal["kaldi"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        return "Kaldi (wav.scp and text)" if (folder / "wav.scp").exists() and (folder / "text").exists() else ""


class _Line(NamedTuple):
    """A line of a list. at: its file and number. rest: what follows the id."""

    at: str
    rest: str


def read(source: KaldiSource) -> list[Utterance]:
    """One utterance for each id of text, and for each id that has a sound and no text.

    An id's sound is its line in segments, or in wav.scp if there is no file segments. The lines may be in any order,
    and segments may overlap by half a second.

    Raises:
        UserError: wav.scp or text is missing; a list has a malformed line or an id twice; a name of a speaker cannot be
            used; or wav.scp has a command, which is never run.
    """
    folder = Path(source.path)
    paths = {id: _path(line, folder) for id, line in _lines(source, "wav.scp").items()}
    texts, speakers = _lines(source, "text"), _speakers(source)
    cut = os.path.lexists(folder / "segments")
    sounds = _lines(source, "segments" if cut else "wav.scp")
    utterances = []
    for id in texts | sounds:
        lists.check_id(id, source.name, (texts.get(id) or sounds[id]).at)
        origin, fault = _origin(id, sounds.get(id), paths, folder, cut)
        text = texts[id].rest if id in texts else ""
        utterances.append(utterance(source, id, text, origin, fault, speakers.get(id)))
    return utterances


def _lines(source: KaldiSource, name: str) -> dict[str, _Line]:
    """The lines of a list, by their ids in NFC."""
    folder = Path(source.path)
    path, form = folder / name, _FORMS[name]
    lists.check_inside(path, folder)
    found: dict[str, _Line] = {}
    first: dict[str, str] = {}
    create = f"create it with lines {form}, or correct the source's path in params.yaml"
    for at, line in lists.lines(path, create, source.language):
        id, *rest = re.split(r"[ \t]+", line.strip(), maxsplit=1)
        lists.check_once(nfc(id), nfc(id), at, first)
        found[nfc(id)] = _Line(at, rest[0] if rest else "")
    if not found:
        raise UserError(f"{path} holds no lines; write them as {form}.")
    return found


def _path(line: _Line, folder: Path) -> Path:
    if line.rest.endswith("|"):
        raise UserError(f"{line.at} has a command, which is never run; save what it makes, and write that file's path.")
    if not line.rest:
        raise UserError(f"{line.at} has no path; write it as {_FORMS['wav.scp']}.")
    return lists.recording(folder, line.rest)


def _speakers(source: KaldiSource) -> dict[str, str]:
    """The speaker of each id that utt2spk lists; empty if there is no such file."""
    if not os.path.lexists(Path(source.path) / "utt2spk"):
        return {}
    lines = _lines(source, "utt2spk")
    for at, name in lines.values():
        lists.check_speaker(name, at)
    return {id: line.rest for id, line in lines.items()}


def _origin(id: str, line: _Line | None, paths: dict[str, Path], folder: Path, cut: bool) -> tuple[Origin, str]:
    """Where an id's sound comes from, and why it is not available (empty if it is).

    Args:
        line: the id's line in segments if `cut`, else in wav.scp; None if it has none.
    """
    nowhere = Recording(folder / id)
    if line is None:
        return nowhere, f"missing recording: {folder / ('segments' if cut else 'wav.scp')} has no line for '{id}'"
    if not cut:
        return Recording(paths[id]), fault_of(paths[id], folder)
    fields = line.rest.split()
    if len(fields) != 3:
        raise UserError(f"{line.at} has {len(fields) + 1} fields; write it as {_FORMS['segments']}.")
    recording, start, end = nfc(fields[0]), _seconds(fields[1], line.at), _seconds(fields[2], line.at)
    if recording not in paths:
        return nowhere, f"missing recording: {line.at} names '{recording}', which wav.scp does not list"
    return Segment(paths[recording], start, end), fault_of(paths[recording], folder)


def _seconds(text: str, at: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise UserError(f"{at} has the time {quoted(text)}; write it in seconds, such as 12.5.")
    return seconds
