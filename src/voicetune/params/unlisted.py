"""Keys of params.yaml that no result depends on. No stage lists them in dvc.yaml, so changing one reruns nothing."""

import re
from typing import Literal

from pydantic import Field, field_validator

from voicetune.params.reading import Section


class Unlisted(Section):
    jobs: int = Field(ge=0, le=1024, examples=[0], description="processes that prepare clips; 0 is one a core")
    engine: Literal["local", "ray"] = Field(examples=["local"], description="what works on clips, see docs/cluster.md")
    ray_address: str | None = Field(description="of a Ray cluster; None starts one with `jobs` workers")
    max_restarts: int = Field(ge=0, le=100, examples=[3], description="how often a crashed phase is restarted")

    @field_validator("ray_address")
    @classmethod
    def _has_a_port(cls, address: str | None) -> str | None:
        if address is not None and not re.fullmatch(r"[^\s/:]+:\d{1,5}", address):
            raise ValueError("a host and a port, such as 10.0.0.1:6379")
        return address
