"""Detects the language of a long recording from its first speech. It is kept, so this happens once."""

from pathlib import Path

import numpy as np

from voicetune import files
from voicetune.errors import UserError, shown
from voicetune.params.languages import LANGUAGES
from voicetune.transcripts import recognition, stretches
from voicetune.transcripts.recognition import WordRecogniser

_HEARD = 30  # seconds of speech, which Whisper takes at once
_SURE = 0.5  # probability


def detect(path: Path, recogniser: WordRecogniser) -> str:
    """Of the languages that voicetune knows, the one that a recording most probably is in.

    Args:
        recogniser: of a multilingual model. Its language is `auto`.

    Raises:
        UserError: the recording cannot be decoded or has no speech, its language is not sure, or it cannot be kept.
    """
    place = recognition.place_of(path, recogniser)
    kept = place / "language.txt"
    if files.is_file(kept) and (known := files.read_text(kept, "remove it")) in LANGUAGES:
        return known
    _, _, every = recogniser.model.detect_language(_first_speech(path))
    probability, language = max((probability, name) for name, probability in every if name in LANGUAGES)
    if probability < _SURE:
        raise UserError(
            f"the language of {path} is not sure ('{language}' has a probability of {probability:.2f}); write the"
            " language of its source in params.yaml."
        )
    print(shown(f"{path}: the language is '{language}' (probability {probability:.2f})"), flush=True)
    with files.writing(place):
        place.mkdir(parents=True, exist_ok=True)
    files.put(kept, language.encode())
    return language


def _first_speech(path: Path) -> np.ndarray:
    for samples, _, _, _ in recognition.cut(path, 0):
        spoken = [
            samples[round(start * stretches.RATE) : round(end * stretches.RATE)]
            for start, end in stretches.find(samples)
        ]
        if spoken:
            return np.concatenate(spoken)[: _HEARD * stretches.RATE]
    raise UserError(f"no speech is found in {path}; remove it, or replace it by a recording of speech.")
