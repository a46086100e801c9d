"""One utterance of a source, and where its sound comes from."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recording:
    """A whole sound file."""

    path: Path


@dataclass(frozen=True)
class Segment:
    """A part of a long sound file. start, end: in seconds from the beginning of the file."""

    path: Path
    start: float
    end: float


@dataclass(frozen=True)
class Speech:
    """A text spoken by espeak-ng: arguments of `espeak.speak`."""

    voice: str
    rate: int
    pitch: int


Origin = Recording | Segment | Speech


@dataclass(frozen=True)
class Utterance:
    """A text and where its sound comes from.

    id: unique over all sources, and safe as a file name, in Unicode's form NFC. source: the source's name. fault: why
    the sound is not available; empty if it is.
    """

    id: str
    text: str
    language: str
    speaker: str
    source: str
    origin: Origin
    fault: str = ""
