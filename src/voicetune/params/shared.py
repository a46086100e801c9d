"""Parameters that several stages share: the device, and how validation and test clips are conditioned."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

TINY = "tiny"
BUNDLE = Path("pretrain/bundle")
"""The base that this repository includes: its name in params.yaml, and its folder."""

Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], Field(examples=["auto"])]
ConditioningSeconds = Annotated[float, Field(ge=0.4, le=30, examples=[3.0])]
