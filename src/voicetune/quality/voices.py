"""How much the voice of each clip is like that of the speaker's other clips, and how much of a clip is speech."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voicetune.data.audio import resample
from voicetune.measures.similarity import SpeakerEncoder, reference_embedding, secs
from voicetune.transcripts import stretches

_SHORTEST = 1.0  # second of speech
_TRIMMED = 0.2  # of the clips, the least alike, say nothing about the speaker's voice


@dataclass(frozen=True)
class Heard:
    """What was measured in a clip's sound.

    speech: seconds of speech. embedding: of the whole clip, (256,); None if it has no voice. parts: of each 1.6 s,
    (parts, 256).
    """

    speech: float
    embedding: np.ndarray | None
    parts: np.ndarray


def measure(encoder: SpeakerEncoder, samples: np.ndarray, rate: int) -> Heard:
    """Measure a clip's sound.

    Args:
        samples: (samples,) float32 at `rate` Hz.
    """
    found = stretches.find(resample(samples, rate, stretches.RATE))
    embedding, parts = encoder.embed_parts(samples, rate)
    return Heard(sum(end - start for start, end in found), embedding, parts)


def likeness(heard: Sequence[Heard], speakers: Sequence[str]) -> list[tuple[float | None, float | None]]:
    """How much less each clip is like its speaker's voice than the median clip is, and the SECS of its worst part.

    The first is a difference of SECS, because one microphone and one mood give clips that are more alike than others.
    Both are None for a clip with less than a second of speech, whose embedding depends more on the word than on the
    voice.

    The voice of a speaker is the mean over the speaker's clips. The fifth that is least like the mean is then left out
    of it, so that a few clips of somebody else do not change it.

    Args:
        speakers: of each clip.
    """
    voices = {one: _voice([h for h, s in zip(heard, speakers, strict=True) if s == one]) for one in set(speakers)}
    found = [_likeness(h, voices[speaker]) for h, speaker in zip(heard, speakers, strict=True)]
    medians = {
        one: np.median(
            [whole for (whole, _), s in zip(found, speakers, strict=True) if s == one and whole is not None] or [0]
        )
        for one in set(speakers)
    }
    return [
        (None if whole is None else float(medians[s] - whole), part)
        for (whole, part), s in zip(found, speakers, strict=True)
    ]


def _voice(clips: list[Heard]) -> np.ndarray | None:
    embeddings = [one.embedding for one in clips if one.embedding is not None and one.speech >= _SHORTEST]
    if not embeddings:
        return None
    mean = reference_embedding(embeddings)
    alike = np.array([secs(one, mean) for one in embeddings])
    least = np.quantile(alike, _TRIMMED)
    return reference_embedding([one for one, near in zip(embeddings, alike, strict=True) if near >= least])


def _likeness(heard: Heard, voice: np.ndarray | None) -> tuple[float | None, float | None]:
    if heard.speech < _SHORTEST:
        return None, None
    parts = [secs(part, voice) for part in heard.parts]
    return secs(heard.embedding, voice), min(parts, default=0.0)
