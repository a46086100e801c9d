"""What several stages share: the device, and how validation and test clips are conditioned."""

from typing import Annotated, Literal

from pydantic import Field

Device = Annotated[Literal["auto", "cpu", "cuda"], Field(examples=["auto"])]
ConditioningSeconds = Annotated[float, Field(ge=0.4, le=30, examples=[3.0])]
