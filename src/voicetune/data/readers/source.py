"""What the sections of all readers have in common, and the utterance of a source."""

import os
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from voicetune import files
from voicetune.data.utterance import Origin, Utterance
from voicetune.errors import quoted
from voicetune.params.languages import Language
from voicetune.params.reading import Name, Section

_LANGUAGES = {"jp": "ja", "kr": "ko", "cn": "zh", "cz": "cs"}  # other codes that lists have


_LONGEST = 500  # characters of a consent


def _consent(given: Any) -> str | None:
    text = "" if given is None else given
    if not isinstance(text, str) or len(text) > _LONGEST or len(text.splitlines()) > 1 or "\0" in text:
        raise ValueError(f"one line of text, at most {_LONGEST} characters: who agreed, when, and to what")
    return text.strip() or None


Consent = Annotated[str | None, BeforeValidator(_consent)]
"""Who agreed, when, and to what, in one line. None if nothing is known."""


class Source(Section):
    """A source of params.yaml. Each reader adds `reader: Literal["its name"]`, and the keys that it needs."""

    name: Name = Field(examples=["anna"])
    path: str = Field(min_length=1, examples=["data/raw/anna"], description="a folder, or a script of id|text lines")
    speaker: Name = Field(examples=["anna"])
    language: Language = Field(examples=["en"])
    only_speakers: Annotated[list[Name], Field(min_length=1)] | None = None  # optional: without it, all are read
    consent: Consent = None  # optional: without it, a warning asks for it

    @property
    def of_people(self) -> bool:
        """Whether the sounds may be recordings of people, who have to agree."""
        return True

    @classmethod
    def layout(cls, folder: Path) -> str:
        """The layout of a folder and what shows it, such as `Kaldi (wav.scp and text)`; empty if it is another one.

        `reader: auto` asks each reader. It should look at names and first lines only.
        """
        return ""


def utterance(
    source: Source, id: str, text: str, origin: Origin, fault: str = "", speaker: str | None = None
) -> Utterance:
    """Make the utterance of a row.

    Args:
        id: unique in the source; see `lists.check_id`.
        fault: why the sound is not available; empty if it is.
        speaker: who speaks, if it is not the source's speaker.
    """
    return Utterance(
        f"{source.name}-{id}", nfc(text), source.language, speaker or source.speaker, source.name, origin, fault
    )


def nfc(text: str) -> str:
    """A text in Unicode's form NFC. macOS writes é as two characters, which XTTS does not know."""
    return unicodedata.normalize("NFC", text)


def fault_of_language(given: str, source: Source) -> str:
    """Why a clip of a list that names languages is not used: it is not in the source's; empty if it is, or if `given`
    is empty."""
    code = re.split("[-_]", given.strip().lower())[0]
    if _LANGUAGES.get(code, code) in ("", source.language.split("-")[0]):
        return ""
    return f"another language: the list says {quoted(given)}, the source {source.language}; make a source for each"


def fault_of(path: Path, folder: Path) -> str:
    """Why a recording of a source's folder is not available; empty if it is."""
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder)):
        return f"outside the source: {path} is not in {folder}; put it there, and name it by its path from there"
    if files.leaves(path, folder):
        return f"link: {path} leads out of {folder}; put the recording itself there"
    if files.is_file(path):
        return ""
    if os.path.exists(path):  # Path.exists raises an error for a name that is too long
        return f"no plain file: {path} is a folder, a pipe or a device"
    return f"missing recording: {path}"
