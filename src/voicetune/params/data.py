"""The parameters of the stages prepare, base and encode."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from voicetune.params.languages import Language
from voicetune.params.reading import Name, Section, Seed
from voicetune.params.shared import Device


class _Source(Section):
    READER: ClassVar[str]
    name: Name = Field(examples=["anna"])
    path: str = Field(min_length=1, examples=["data/raw/anna"], description="a folder, or a script of id|text lines")
    speaker: Name = Field(examples=["anna"])
    language: Language = Field(examples=["en"])


class LJSpeechSource(_Source):
    """A folder of recordings in LJSpeech's layout."""

    READER: ClassVar[str] = "ljspeech"
    reader: Literal["ljspeech"]


_LONGEST_VOICE = 30  # characters; with a name of 40, espeak-ng ends the process


def _voice(name: str) -> str:
    if not (0 < len(name) <= _LONGEST_VOICE and name.isascii() and name.isprintable()):
        raise ValueError(f"a name of at most {_LONGEST_VOICE} ASCII characters, such as en-us, en-us+f3 or hu")
    return name


class EspeakSource(_Source):
    """Sentences for espeak-ng to speak."""

    READER: ClassVar[str] = "espeak"
    reader: Literal["espeak"]
    voice: Annotated[str, AfterValidator(_voice)] = Field(examples=["en-us"], description="the voice's name")
    rate: int = Field(ge=80, le=450, examples=[150], description="words a minute")
    pitch: int = Field(ge=0, le=99, examples=[50], description="base pitch")


Source = Annotated[LJSpeechSource | EspeakSource, Field(discriminator="reader")]


LARGEST = 0.8  # the largest sum of the validation and test shares


class Prepare(Section):
    """validation, test: shares of each source's texts, see `data.split`."""

    sources: list[Source] = Field(min_length=1)
    validation: float = Field(gt=0, lt=0.5, examples=[0.1])
    test: float = Field(gt=0, lt=0.5, examples=[0.1])
    min_seconds: float = Field(gt=0, examples=[0.5])
    max_seconds: float = Field(gt=0, le=27, examples=[11.6])
    trim_db: float = Field(gt=0, le=120, examples=[45])
    loudness: float = Field(ge=-70, le=-5, examples=[-23])
    peak: float = Field(gt=0, le=1, examples=[0.95])

    @model_validator(mode="after")
    def _check(self):
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("two sources have the same name")
        if self.min_seconds >= self.max_seconds:
            raise ValueError("min_seconds must be below max_seconds")
        if self.validation + self.test > LARGEST:
            raise ValueError("validation and test must leave a fifth of the clips to train on")
        return self


class Encode(Section):
    unknown_characters: Literal["fail", "leave_out"] = Field(examples=["fail"])


class PrepareStage(Section):
    """What stage prepare reads of params.yaml. The fields of each stage's class are the keys that dvc.yaml lists."""

    seed: Seed
    prepare: Prepare


class BaseStage(Section):
    """What stage base reads."""

    base: str = Field(min_length=1, examples=["tiny"])


class EncodeStage(Section):
    """What stage encode reads."""

    device: Device
    encode: Encode
