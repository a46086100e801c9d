"""SECS: how much the voice of a take resembles that of its speaker."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from voicetune.errors import UserError
from voicetune.measures.measure import Figure, Mean, Measure, Row

if TYPE_CHECKING:
    import numpy as np

    from voicetune.data.clip import Clip
    from voicetune.data.dataset import Dataset
    from voicetune.measures.material import Material
    from voicetune.measures.takes import Take
    from voicetune.model import VoiceEncoder

_REFERENCES = 10  # training clips whose mean embedding is a speaker's reference
_STRANGER = {"en": "en-us", "zh": "cmn"}  # espeak-ng's language names that differ from XTTS's


class Similar:
    """Compares takes with their speakers. voices: by column, each speaker's embedding."""

    def __init__(self, material: "Material"):
        from voicetune.measures.similarity import SpeakerEncoder

        self.encoders: dict[str, VoiceEncoder] = {"secs": SpeakerEncoder()}
        if material.own:
            self.encoders["secs_xtts"] = material.own
        self.voices = {
            column: {speaker: _voice(encoder, material.data, speaker) for speaker in material.speakers}
            for column, encoder in self.encoders.items()
        }

    def __call__(self, take: "Take", rate: int, _text: str) -> Row:
        return {column: self._secs(column, take.sound, rate, take.clip.speaker) for column in self.encoders}

    def floor(self, said: Sequence["Clip"]) -> float | None:
        """Mean SECS of the sentences in a voice of espeak-ng, which shows how alike two different speakers are.

        None if espeak-ng cannot speak one of the languages, or there are no sentences.
        """
        import numpy as np

        from voicetune.data import espeak

        try:
            strangers = [(espeak.speak(clip.text, _stranger(clip.language)), clip.speaker) for clip in said]
        except UserError:
            return None
        found = [self._secs("secs", sound, espeak.SAMPLE_RATE, speaker) for sound, speaker in strangers]
        return float(np.mean(found)) if found else None

    def _secs(self, column: str, sound: "np.ndarray", rate: int, speaker: str) -> float:
        from voicetune.measures.similarity import secs

        return secs(self.encoders[column].embed(sound, rate), self.voices[column][speaker])


def _voice(encoder: "VoiceEncoder", data: "Dataset", speaker: str) -> "np.ndarray":
    """The speaker's mean embedding. It comes from training clips, so no measured sentence is its own reference."""
    from voicetune.measures.similarity import reference_embedding

    known = data.codes.training_clips_of(speaker)[:_REFERENCES]
    return reference_embedding([encoder.embed(*data.sound(data.codes.clips[i])) for i in known])


def _stranger(language: str) -> str:
    """Name of an espeak-ng voice that is no training speaker, for a language code of XTTS."""
    return f"{_STRANGER.get(language, language)}+f3"


MEASURE = Measure(
    place=20,
    open=Similar,
    first_take_only=True,
    figures=(
        Figure(
            "secs", "SECS", 3, "higher", "likeness of the voice, by Resemblyzer", Mean("secs"),
            metric=True, cost=0.02, composite=lambda secs: 1 - secs, one="SECS {:.2f}",
        ),
        Figure(
            "secs_xtts", "SECS, XTTS's", 3, "higher", "by the encoder that XTTS was trained with", Mean("secs_xtts")
        ),
    ),
)  # fmt: skip
