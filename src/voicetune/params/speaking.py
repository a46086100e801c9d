"""The parameters of the stages speak and synthesize."""

from typing import Annotated, Literal

from pydantic import Field

from voicetune.params.decoding import Asr, Decoding
from voicetune.params.languages import Language
from voicetune.params.reading import Section, Seed
from voicetune.params.shared import Device

SPEEDS = (0.5, 2.0)
Tries = Annotated[int, Field(ge=1, le=50, examples=[4])]


class Speak(Section):
    sentences: int = Field(
        ge=0, le=1000, examples=[8], description="test sentences of each language that each model speaks"
    )
    takes: int = Field(ge=1, le=100, examples=[3], description="of each sentence, each drawn anew")


class Synthesize(Section):
    lines: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1, examples=["[Good evening.]"])
    language: Language = Field(examples=["en"])
    speed: float = Field(ge=SPEEDS[0], le=SPEEDS[1], examples=[1.0])
    loudness: float = Field(ge=-70, le=-5, examples=[-23], description="LUFS")
    format: Literal["wav", "flac", "mp3", "ogg"] = Field(examples=["wav"])
    tries: Tries = Field(description="draws of a part of a line that has a fault, at most")
    check_words: bool = Field(examples=["true"], description="`asr` reads each part; else its length and sound alone")
    watermark: bool = Field(examples=["false"], description="each line gets an inaudible watermark")


class SpeakStage(Section):
    """What stage speak reads."""

    seed: Seed
    device: Device
    decoding: Decoding
    speak: Speak


class SynthesizeStage(Section):
    """What stage synthesize reads. It takes the decoding parameters from the published model."""

    seed: Seed
    device: Device
    asr: Asr
    synthesize: Synthesize
