"""Reads JSON lines: manifests of NeMo, and the like, such as {"audio": "a.wav", "text": "Hello."}.

Source: https://docs.nvidia.com/nemo-framework, "Preparing Custom ASR Data".
"""

import json
from pathlib import Path
from typing import Any, Literal

from voicetune.data.readers import encodings, lists, tables
from voicetune.data.readers.source import Source, fault_of, fault_of_language, utterance
from voicetune.data.utterance import Origin, Recording, Segment, Utterance
from voicetune.errors import UserError


class JSONLinesSource(Source):
    """A folder with files of JSON lines. `speaker` is who speaks where a line names nobody."""

    reader: Literal["jsonl"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        names = [path.name for path in _files(folder) if _names_audio(path)]
        return f"JSON lines ({', '.join(names[:3])})" if names else ""


def read(source: JSONLinesSource) -> list[Utterance]:
    """One utterance for each line of the folder's .jsonl files, and of its .json files if they have lines of this kind.

    A line with `offset` is a segment, which lasts `duration` seconds.

    Raises:
        UserError: there is no such file; see `tables.objects`; a line names no audio, or has the wrong type under a
            name; the same sound is listed twice; or a name cannot be used.
    """
    folder = Path(source.path)
    found = _files(folder)
    if not found:
        raise UserError(f"{folder} holds no .jsonl file; write one JSON object a line into it for each clip.")
    utterances = []
    for file in found:
        first: dict[str, str] = {}
        for at, row in tables.objects(file, source):
            name = tables.text_of(row, tables.AUDIO, at)
            if not name:
                raise UserError(f"{at} names no audio; write its path under audio_filepath, audio, file or path.")
            path = lists.recording(folder, name)
            id, origin = _origin(lists.id_of(path, folder), path, row, at)
            speaker = lists.speaker(tables.text_of(row, tables.SPEAKER, at))
            lists.check_row(id, speaker, source.name, at, first)
            fault = fault_of_language(tables.text_of(row, tables.LANGUAGE, at), source) or fault_of(path, folder)
            utterances.append(utterance(source, id, tables.text_of(row, tables.TEXT, at), origin, fault, speaker))
    return utterances


def _origin(id: str, path: Path, row: dict[str, Any], at: str) -> tuple[str, Origin]:
    """The id and the origin of a line. A segment's id also has its beginning in milliseconds."""
    start, length = tables.seconds_of(row, "offset", at), tables.seconds_of(row, "duration", at)
    if start is None:
        return id, Recording(path)
    if length is None:
        raise UserError(f"{at} has an offset and no duration; write how many seconds it lasts.")
    return f"{id}-{round(start * 1000):08d}", Segment(path, start, start + length)


def _files(folder: Path) -> list[Path]:
    others = [path for path in sorted(folder.glob("*.json")) if _names_audio(path)]
    return [*sorted(folder.glob("*.jsonl")), *others]


def _names_audio(path: Path) -> bool:
    """Whether the first line is an object with an audio, other than one of a Hugging Face audiofolder."""
    try:
        one = json.loads(encodings.first_line(path))
    except (ValueError, RecursionError):
        return False
    return isinstance(one, dict) and bool(set(tables.AUDIO) & set(one))
