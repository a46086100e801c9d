"""Tells how much the voice of each part of a recording is like one speaker's, by speaker embeddings (see SECS)."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from voicetune import files, outputs
from voicetune.data import audio, recordings
from voicetune.errors import UserError
from voicetune.measures.similarity import SpeakerEncoder, secs
from voicetune.shapes import parse

Span = tuple[float, float]
_WINDOW = 1.7  # seconds
_LEAST = 3.0  # seconds of a sample; with less, the embedding changes with the words


class Speaker:
    """One speaker's voice, from a recording.

    Raises:
        UserError: the recording is missing, cannot be used, or is too short.
    """

    def __init__(self, sample: Path):
        samples, rate = recordings.read(sample)
        if fault := audio.fault_of(samples):
            raise UserError(f"{sample} is {fault}; give a recording of the speaker as keep_speaker.")
        start, end = audio.trim_bounds(samples, 45, rate=rate)
        if (seconds := (end - start) / rate) < _LEAST:
            raise UserError(f"{sample} has {seconds:.1f} s of sound; keep_speaker needs {_LEAST:g} s, better 10.")
        self.name = files.sha256(sample)
        self._encoder = SpeakerEncoder()
        self._voice = self._encoder.embed(samples[start:end], rate)

    def similarities(self, path: Path, spans: list[Span], place: Path) -> list[float]:
        """Return the cosine of each span's voice to the speaker's; 0 where there is no voice.

        Args:
            spans: begin and end in seconds, in order and without overlaps.
            place: where the figures are kept, see `recognition.place_of`.
        """
        key = hashlib.sha256(json.dumps([self.name, spans]).encode()).hexdigest()[:32]
        kept = place / f"voices-{key}.json"
        try:
            return parse(files.read_text(kept, "-"), list[float])
        except (UserError, ValidationError):
            pass
        found = [round(self._similarity(*sound), 4) for sound in _sounds(path, spans)]
        found += [0.0] * (len(spans) - len(found))  # the recording is damaged there
        outputs.write_json(kept, found)
        return found

    def _similarity(self, samples: np.ndarray, rate: int) -> float:
        """The encoder fills a sound shorter than 1.6 s with silence, which changes the voice. So it is repeated."""
        repeated = np.resize(samples, max(len(samples), round(_WINDOW * rate))) if len(samples) else samples
        return secs(self._voice, self._encoder.embed(repeated, rate))


def _sounds(path: Path, spans: list[Span]) -> Iterator[tuple[np.ndarray, int]]:
    """The sound of each span. The file is decoded once, and no more than a block and a span are in memory."""
    waiting, at = np.zeros(0, np.float32), 0
    left = iter(spans)
    span = next(left, None)
    try:
        for samples, rate in recordings.stream(path):
            waiting = np.concatenate([waiting, samples])
            while span is not None and at + len(waiting) >= round(span[1] * rate):
                first, last = (round(one * rate) - at for one in span)
                yield waiting[first:last], rate
                span = next(left, None)
            needed = len(waiting) if span is None else min(len(waiting), max(0, round(span[0] * rate) - at))
            waiting, at = waiting[needed:], at + needed
    except recordings.Unusable:
        return  # what comes before the damage is enough
