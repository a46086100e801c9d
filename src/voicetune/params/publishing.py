"""The parameters of the stage publish."""

from voicetune.params.decoding import Decoding
from voicetune.params.models import ModelName
from voicetune.params.reading import Section


class PublishStage(Section):
    """What stage publish reads."""

    publish: ModelName
    decoding: Decoding
