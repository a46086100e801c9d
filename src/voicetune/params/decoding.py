"""How a model draws audio codes whenever it speaks, and the recogniser that transcribes its speech."""

from typing import Annotated

from pydantic import Field, model_validator

from voicetune.params.reading import Section

Asr = Annotated[str, Field(min_length=1, examples=["tiny.en"])]


class Decoding(Section):
    """How audio codes are drawn: the same for choosing by ear, evaluating, synthesize and `say`."""

    temperature: float = Field(ge=0, le=2, examples=[0.75], description="0 is greedy")
    top_k: int = Field(ge=0, le=1_000_000, examples=[50])
    top_p: float = Field(ge=0.01, le=1, examples=[0.85])
    repetition_penalty: float = Field(ge=1, le=20, examples=[5.0])

    @model_validator(mode="after")
    def _logits_stay_finite(self):
        if 0 < self.temperature < 0.01:
            raise ValueError("temperature must be 0 or at least 0.01")
        return self
