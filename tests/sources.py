"""What the tests of readers share: a source in a folder, and what is read from it."""

from pathlib import Path
from typing import Any

import pytest

from voicetune.data import readers
from voicetune.data.readers import READERS, auto
from voicetune.data.readers.source import Source
from voicetune.data.utterance import Utterance
from voicetune.errors import UserError

FIELDS = {"name": "s", "speaker": "someone", "language": "en"}


def source(reader: str, folder: Path, **fields: Any) -> Source:
    (section,) = (one for one in READERS if auto.name_of(one) == reader)
    return section(**{**FIELDS, "reader": reader, "path": str(folder), **fields})


def write(folder: Path, files: dict[str, str | bytes | None]) -> Path:
    """Write files below a folder: a text, bytes, or an empty file (""). None leaves a file out."""
    for name, content in files.items():
        if content is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read(reader: str, folder: Path, **fields: Any) -> list[Utterance]:
    return readers.read([source(reader, folder, **fields)])


def clips(reader: str, folder: Path, **fields: Any) -> list[tuple[str, str, str, str]]:
    """The id, text, speaker and sound of each utterance that has no fault."""
    found = [one for one in read(reader, folder, **fields) if not one.fault]
    return [(one.id, one.text, one.speaker, sound(one, folder)) for one in found]


def sound(one: Utterance, folder: Path) -> str:
    return str(one.origin.path.relative_to(folder))  # type: ignore[union-attr]


def faults(reader: str, folder: Path, **fields: Any) -> dict[str, str]:
    return {one.id: one.fault for one in read(reader, folder, **fields) if one.fault}


def refusal(reader: str, folder: Path, **fields: Any) -> str:
    """The one sentence that a reader ends with."""
    with pytest.raises(UserError) as error:
        read(reader, folder, **fields)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)
    return str(error.value)
