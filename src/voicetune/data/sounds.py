"""Gets an utterance's sound from wherever it comes from."""

import numpy as np

from voicetune.data import espeak, recordings
from voicetune.data.utterance import Recording, Segment, Utterance


def sound(utterance: Utterance) -> tuple[np.ndarray, int]:
    """Decode an utterance's recording, or have espeak-ng speak it.

    Returns:
        mono float32 samples, shape (samples,), and their rate in Hz.

    Raises:
        UserError: the recording cannot be decoded (then recordings.Unusable), or espeak-ng lacks the voice.
    """
    origin = utterance.origin
    if isinstance(origin, Recording):
        return recordings.read(origin.path)
    if isinstance(origin, Segment):
        return recordings.read_segment(origin.path, origin.start, origin.end)
    return espeak.speak(utterance.text, origin.voice, origin.rate, origin.pitch), espeak.SAMPLE_RATE
