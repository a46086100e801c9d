"""The tables of stage transcribe: one of each source's clips, and one of all its files. Imports no library of sound."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from voicetune.data import csv_tables
from voicetune.shapes import Number, Plain

FOLDER = Path("data/transcripts")
FILES = FOLDER / "files.csv"
LEFT_OUT = FOLDER / "left_out.csv"
_AGAIN = "run `dvc repro -s -f transcribe`"
_Seconds = Annotated[float, Field(ge=0, le=1e7)]


@dataclass(frozen=True)
class Cut:
    """A clip of a long recording.

    file: the sound, as a path from the project's folder. start, end: seconds in it. agreement: how well the text agrees
    with what the recogniser wrote, 0 to 1; it is 1 if there is no transcript. probability: the mean
    probability that the recogniser gives the words. language: of the text.
    """

    id: Plain
    file: str
    start: _Seconds
    end: _Seconds
    text: str
    agreement: Number
    probability: Number
    language: Plain


@dataclass(frozen=True)
class Unused:
    """A part of a long recording that no clip has. start, end: seconds in it."""

    source: Plain
    file: str
    start: _Seconds
    end: _Seconds
    reason: str


@dataclass(frozen=True)
class LongFile:
    """What became of a long recording.

    seconds: its length. speech: seconds of it with speech. kept: seconds of the speech that are in clips. text: where
    the texts come from: `recogniser`, or the name of the transcript. fault: why it has no clips, or not all; empty if
    nothing is wrong.
    """

    source: Plain
    file: str
    seconds: _Seconds
    speech: _Seconds
    kept: _Seconds
    clips: int
    text: str
    fault: str


def table(source: str) -> Path:
    """Where the clips of a source are listed."""
    return FOLDER / source / "clips.csv"


def read(source: str) -> list[Cut]:
    """The clips of a source.

    Raises:
        UserError: the table is missing or damaged.
    """
    return csv_tables.read(table(source), Cut, _AGAIN)
