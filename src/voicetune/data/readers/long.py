"""Reads long recordings that stage transcribe has cut into sentences: an hour of podcast, a folder of m4a files.

Stage transcribe opens the recordings. This reader reads its table.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from voicetune.data import cut
from voicetune.data.readers.source import Source, fault_of, utterance
from voicetune.data.utterance import Segment, Utterance
from voicetune.params import languages

DETECTED = "auto"
"""The `language` of a source whose recordings may be in any language. Stage transcribe detects that of each."""


def _language(given: str) -> str:
    return given if given == DETECTED else languages.checked(given)


class LongSource(Source):
    """A folder of long recordings, each with its transcript (.txt, .srt or .vtt) beside it, or with none."""

    reader: Literal["long"]
    language: Annotated[str, AfterValidator(_language)] = Field(examples=["en"])  # or auto: that of each recording
    keep_speaker: str | None = None  # optional: a recording of the one speaker to keep, in the source's folder


def read(source: LongSource) -> list[Utterance]:
    """One utterance for each clip that stage transcribe has cut.

    Raises:
        UserError: the table of stage transcribe is missing or damaged.
    """
    utterances = []
    for one in cut.read(source.name):
        path = Path(one.file)
        # what cannot be read in parts has a copy beside the table
        folder = cut.FOLDER if path.is_relative_to(cut.FOLDER) else Path(source.path)
        own = source.model_copy(update={"language": one.language})
        utterances.append(utterance(own, one.id, one.text, Segment(path, one.start, one.end), fault_of(path, folder)))
    return utterances
