"""Reads sentences for espeak-ng to speak: a list of lines `id|text`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from voicetune.data.readers import lists
from voicetune.data.readers.source import Source, utterance
from voicetune.data.utterance import Speech, Utterance

_LONGEST_VOICE = 30  # characters; with a name of 40, espeak-ng ends the process


def _voice(name: str) -> str:
    if not (0 < len(name) <= _LONGEST_VOICE and name.isascii() and name.isprintable()):
        raise ValueError(f"a name of at most {_LONGEST_VOICE} ASCII characters, such as en-us, en-us+f3 or hu")
    return name


class EspeakSource(Source):
    """Sentences for espeak-ng to speak."""

    reader: Literal["espeak"]
    voice: Annotated[str, AfterValidator(_voice)] = Field(examples=["en-us"], description="the voice's name")
    rate: int = Field(ge=80, le=450, examples=[150], description="words a minute")
    pitch: int = Field(ge=0, le=99, examples=[50], description="base pitch")

    @property
    def of_people(self) -> bool:
        return False


def read(source: EspeakSource) -> list[Utterance]:
    """One utterance for each line of the list.

    Raises:
        UserError: see `lists.rows`.
    """
    speech = Speech(source.voice, source.rate, source.pitch)
    rows = lists.rows(Path(source.path), (2,), source)
    return [utterance(source, lists.stem(id), text, speech) for id, text in rows]
