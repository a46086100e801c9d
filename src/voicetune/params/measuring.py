"""The parameters of the stages ceiling, evaluate and compare."""

from typing import Literal

from pydantic import Field

from voicetune.measures import catalogue
from voicetune.params.decoding import Asr
from voicetune.params.models import ModelName
from voicetune.params.reading import Section, Seed
from voicetune.params.shared import ConditioningSeconds, Device
from voicetune.params.speaking import Speak

MeasureName = Literal[catalogue.NAMES]  # type: ignore[valid-type]


class Evaluate(Section):
    measures: list[MeasureName] = Field(examples=[f"[{', '.join(catalogue.NAMES)}]"])


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
