"""How much the voice of each clip is like that of the speaker's other clips, and how much of a clip is speech."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voicetune.data.audio import resample
from voicetune.measures.similarity import SpeakerEncoder, reference_embedding, secs
from voicetune.transcripts import stretches

_SHORTEST = 1.0  # second of speech
_FEWEST = 3  # clips of a speaker; with fewer, nobody can say which one is odd
_TRIMMED = 0.2  # of the clips, the least alike, say nothing about the speaker's voice


@dataclass(frozen=True)
class Voice:
    """The voice in a clip.

    speech: seconds of speech. embedding: of the whole clip, (256,); None if it has no voice. parts: of each 1.6 s,
    (parts, 256).
    """

    speech: float
    embedding: np.ndarray | None
    parts: np.ndarray


def measure(encoder: SpeakerEncoder, samples: np.ndarray, rate: int) -> Voice:
    """Measure how much of a clip is speech, and whose.

    Args:
        samples: (samples,) float32 at `rate` Hz.
    """
    found = stretches.find(resample(samples, rate, stretches.RATE))
    embedding, parts = encoder.embed_parts(samples, rate)
    return Voice(sum(end - start for start, end in found), embedding, parts)


def likeness(voices: Sequence[Voice], speakers: Sequence[str]) -> list[tuple[float | None, float | None]]:
    """How much less each clip is like its speaker's voice than the median clip is, and the SECS of its worst part.

    The first is a difference of SECS, because one microphone and one mood give clips that are more alike than others.
    Both are None for a clip with less than a second of speech, whose embedding depends more on the word than on the
    voice, and for a speaker with fewer than three such clips.

    The voice of a speaker is the mean over the speaker's clips. The fifth that is least like the mean is then left out
    of it, so that a few clips of somebody else do not change it.

    Args:
        speakers: of each clip.
    """
    clips_of: dict[str, list[int]] = {}
    for i, speaker in enumerate(speakers):
        clips_of.setdefault(speaker, []).append(i)
    found: list[tuple[float | None, float | None]] = [(None, None)] * len(voices)
    for own in clips_of.values():
        for i, figures in zip(own, _of_speaker([voices[i] for i in own]), strict=True):
            found[i] = figures
    return found


def _of_speaker(clips: list[Voice]) -> list[tuple[float | None, float | None]]:
    """What `likeness` returns, for the clips of one speaker."""
    spoken = [one.embedding for one in clips if one.speech >= _SHORTEST and one.embedding is not None]
    if len(spoken) < _FEWEST:
        return [(None, None)] * len(clips)
    voice = _mean_voice(spoken)
    median = float(np.median([secs(one, voice) for one in spoken]))
    return [
        (median - secs(one.embedding, voice), min((secs(part, voice) for part in one.parts), default=0.0))
        if one.speech >= _SHORTEST
        else (None, None)
        for one in clips
    ]


def _mean_voice(embeddings: list[np.ndarray]) -> np.ndarray:
    """The mean of the clips that are most like each other."""
    mean = reference_embedding(embeddings)
    if len(embeddings) * _TRIMMED < 1:
        return mean
    alike = np.array([secs(one, mean) for one in embeddings])
    least = np.quantile(alike, _TRIMMED)
    return reference_embedding([one for one, near in zip(embeddings, alike, strict=True) if near >= least])
