"""Speak lines of any length: in parts that the model can speak, joined with pauses, at one loudness."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from torch import Tensor

from voicetune.data import audio, words
from voicetune.errors import UserError
from voicetune.params.decoding import Decoding
from voicetune.speech.parts import Break, Part, split_text
from voicetune.speech.voice import Line, Voice

LOUDNESS = -23.0  # LUFS, EBU R 128
PEAK = 10 ** (-1 / 20)  # 1 dB below full scale, so that MP3 and Vorbis do not clip when they are decoded
PAUSES: dict[Break, float] = {"paragraph": 0.9, "sentence": 0.5, "clause": 0.25, "word": 0.0, "character": 0.0}  # s
_TRIM_DB = 40.0
_MARGIN = 0.02  # seconds of silence that trimming keeps, so that no part begins with a click
_LINES = 32  # lines that are decoded together


def parts(voice: Voice, line: Line) -> list[Part]:
    """Split a line into parts that are each spoken at once, see `split`.

    Raises:
        UserError: the line is empty, or has characters that the vocabulary lacks.
    """
    if fault := words.fault_of(line.text):
        raise UserError(f"there is nothing to say ({fault}); give a text with words.")
    model, language = voice.model, line.language
    limit, abbreviations = model.characters(language), model.abbreviations(language)
    found = split_text(line.text, limit, lambda text: voice.takes(text, language), abbreviations)
    if not found:
        raise UserError("there is nothing to say; give a text.")
    for part in found:
        voice.tokens(of_part(part, line))
    return found


def of_part(part: Part, line: Line) -> Line:
    return Line(part.text, line.language, line.speed)


def say(
    voice: Voice,
    lines: Sequence[Line],
    speakers: Sequence[dict[str, Tensor]],
    settings: Decoding,
    seed: int,
    loudness: float = LOUDNESS,
) -> Iterator[np.ndarray]:
    """Speak lines and yield each as soon as it is done: (samples,) float32 at `voice.rate` Hz.

    A line's sound depends on the line, its speaker, the settings and the seed, and not on the other lines. If any part
    of a line produces no audio, the whole line is returned empty.

    Args:
        speakers: one for each line, as `Voice.speaker` returns them.
        loudness: LUFS (ITU-R BS.1770). A line is made quieter if a sample would come nearer to full scale than 1 dB.

    Raises:
        UserError: see `parts`.
    """
    for start in range(0, len(lines), _LINES):
        batch = [
            (line, parts(voice, line), speaker)
            for line, speaker in zip(lines[start : start + _LINES], speakers[start : start + _LINES], strict=True)
        ]
        flat = [(of_part(part, line), speaker) for line, split, speaker in batch for part in split]
        codes = iter(voice.codes([line for line, _ in flat], [speaker for _, speaker in flat], settings, seed))
        for line, split, speaker in batch:
            drawn = zip(split, islice(codes, len(split)), strict=True)
            sounds = [voice.sound(codes_of_part, of_part(part, line), speaker) for part, codes_of_part in drawn]
            speech = join(sounds, [part.ends_at for part in split], voice.rate, line.speed)
            yield audio.level(speech, loudness, PEAK, voice.rate)


def join(sounds: Sequence[np.ndarray], breaks: Sequence[Break], rate: int, speed: float = 1.0) -> np.ndarray:
    """Join sounds without their outer silence, with pauses between them: (samples,) float32. Empty if a sound is empty.

    Args:
        breaks: what each sound ends at, which decides the pause after it. The last sound gets no pause.
        speed: the pauses are divided by it.
    """
    if not all(sound.size for sound in sounds):
        return np.zeros(0, np.float32)
    pieces: list[np.ndarray] = []
    for sound, kind in zip(sounds, breaks, strict=True):
        pieces.append(audio.trim(sound, _TRIM_DB, _MARGIN, rate))
        pause = max(0.0, PAUSES[kind] / speed - 2 * _MARGIN)
        pieces.append(np.zeros(round(pause * rate), np.float32))
    return np.concatenate(pieces[:-1])
