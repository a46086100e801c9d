"""The parameters of the stages ceiling, evaluate, compare and publish."""

from typing import Literal

from pydantic import Field

from voicetune.params.decoding import Asr, Decoding
from voicetune.params.models import ModelName
from voicetune.params.reading import Section, Seed
from voicetune.params.shared import ConditioningSeconds, Device
from voicetune.params.speaking import Speak

Measure = Literal["intelligibility", "similarity", "mos", "prosody", "robustness"]


class Evaluate(Section):
    measures: list[Measure] = Field(examples=["[intelligibility, similarity, mos, prosody, robustness]"])


class Compare(Section):
    bootstrap: int = Field(ge=100, le=20_000, examples=[2000], description="resamples behind each 95 % interval")


class CeilingStage(Section):
    """What stage ceiling reads."""

    seed: Seed
    device: Device
    asr: Asr
    speak: Speak
    evaluate: Evaluate


class EvaluateStage(Section):
    """What stage evaluate reads."""

    seed: Seed
    device: Device
    asr: Asr
    conditioning_seconds: ConditioningSeconds
    evaluate: Evaluate


class CompareStage(Section):
    """What stage compare reads."""

    seed: Seed
    publish: ModelName
    compare: Compare


class PublishStage(Section):
    """What stage publish reads."""

    publish: ModelName
    decoding: Decoding
