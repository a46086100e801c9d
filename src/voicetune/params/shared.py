"""What several stages share: the device, and how validation and test clips are conditioned."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

BUNDLES = {"tiny": Path("pretrain/bundle"), "natural": Path("pretrain/natural")}
"""The bases of this repository: their names in params.yaml, and where they lie."""

Device = Annotated[Literal["auto", "cpu", "cuda"], Field(examples=["auto"])]
ConditioningSeconds = Annotated[float, Field(ge=0.4, le=30, examples=[3.0])]
