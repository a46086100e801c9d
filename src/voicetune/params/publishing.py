"""The parameters of the stage publish."""

from voicetune.params.data import Prepare
from voicetune.params.decoding import Decoding
from voicetune.params.models import ModelName
from voicetune.params.reading import Section


class PublishStage(Section):
    """What stage publish reads. Of `prepare` it takes the consent of each source."""

    publish: ModelName
    decoding: Decoding
    prepare: Prepare
