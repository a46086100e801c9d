"""The parameters of the stages base and encode."""

from typing import Literal

from pydantic import Field

from voicetune.params.reading import Section
from voicetune.params.shared import Device


class Encode(Section):
    unknown_characters: Literal["fail", "leave_out"] = Field(examples=["fail"])


class BaseStage(Section):
    """What stage base reads."""

    base: str = Field(min_length=1, examples=["tiny"])


class EncodeStage(Section):
    """What stage encode reads."""

    device: Device
    encode: Encode
