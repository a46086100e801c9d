"""The JSON that the service takes and gives. POST /v1/audio/speech takes OpenAI's fields and four of ours."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from voicetune.params.languages import Language
from voicetune.params.reading import Seed
from voicetune.params.speaking import SPEEDS
from voicetune.service.voices import Served
from voicetune.speech import watermark
from voicetune.speech.drawing import Drawn


def _as_integer(value: Any) -> Any:
    """JSON has one type for numbers: 1.0 is an integer, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class SpeechRequest(BaseModel):
    """What to say. OpenAI's other fields, such as `instructions`, are taken and have no effect."""

    model_config = ConfigDict(strict=True)

    input: str = Field(min_length=1, description="the text")
    voice: str = Field(description="a name of GET /v1/voices")
    model: str = Field("voicetune", description="has no effect: the voice decides the model")
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(1.0, ge=SPEEDS[0], le=SPEEDS[1])
    stream_format: Literal["audio", "sse"] | None = Field(None, description="`sse` is refused")
    seed: Annotated[Seed, BeforeValidator(_as_integer)] = Field(
        1, description="the same text, voice and seed give the same bytes"
    )
    language: Language | None = Field(None, description="the voice's own if it is left out")
    live: bool = Field(
        False, description="send the sound while it is drawn, unchecked; only voices whose vocoder is HiFi-GAN"
    )
    whole: bool = Field(False, description="send nothing before all parts are spoken; the headers then speak of all")


class Fault(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class Refused(BaseModel):
    """The body of every answer that is no success."""

    error: Fault


def found(drawn: Sequence[Drawn] | None, parts: int, marked: bool) -> dict[str, str]:
    """Headers that say what the checks found, and whether the sound has a watermark.

    Args:
        drawn: all parts of the text; None if not all are spoken yet.
    """
    headers = {"X-Voicetune-Parts": str(parts)}
    if marked:
        headers["X-Voicetune-Watermark"] = watermark.NAME
    if drawn is None:
        return headers
    first, left = [f for one in drawn for f in one.found], [f for one in drawn for f in one.left]
    return headers | {
        "X-Voicetune-Draws": str(sum(one.draws for one in drawn)),
        "X-Voicetune-Cut": str(sum(one.cut for one in drawn)),
        "X-Voicetune-Found": ", ".join(dict.fromkeys(first)),
        "X-Voicetune-Left": ", ".join(dict.fromkeys(left)),
    }


def voice(served: Served) -> dict[str, Any]:
    """What is said of a voice. Nothing of it names a file."""
    return {"id": served.name, "name": served.name, **served.opened.about()}


def models() -> dict[str, Any]:
    """One model, for programs that ask. A voice decides what speaks."""
    return {"object": "list", "data": [{"id": "voicetune", "object": "model", "created": 0, "owned_by": "voicetune"}]}
