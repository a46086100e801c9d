"""The parameters of stage transcribe, which cuts the sources of the reader `long`."""

from pydantic import Field

from voicetune.params.data import Prepare
from voicetune.params.decoding import Asr
from voicetune.params.reading import Section
from voicetune.params.shared import Device


class Transcribe(Section):
    asr: Asr
    agreement: float = Field(ge=0, le=1, examples=[0.7], description="of a transcript with the recogniser, in a clip")
    speaker_similarity: float = Field(ge=0, le=1, examples=[0.8], description="cosine to the voice of keep_speaker")


class TranscribeStage(Section):
    """What stage transcribe reads."""

    device: Device
    prepare: Prepare
    transcribe: Transcribe
