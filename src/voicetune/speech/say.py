"""Speak lines of any length: in parts that the model can speak, each checked, joined with pauses, at one loudness."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from torch import Tensor

from voicetune.data import audio, words
from voicetune.errors import UserError
from voicetune.params.decoding import Decoding
from voicetune.speech import drawing, watermark
from voicetune.speech.checking import Checker, Checks
from voicetune.speech.drawing import Drawn
from voicetune.speech.parts import Break, Part, split_text
from voicetune.speech.voice import Line, Voice

LOUDNESS = -23.0  # LUFS, EBU R 128
PEAK = 10 ** (-1 / 20)  # 1 dB below full scale, so that MP3 and Vorbis do not clip when they are decoded
PAUSES: dict[Break, float] = {"paragraph": 0.9, "sentence": 0.5, "clause": 0.25, "word": 0.0, "character": 0.0}  # s
_TRIM_DB = 40.0
_MARGIN = 0.02  # seconds of silence that trimming keeps, so that no part begins with a click
CHECKS = Checks()
_LINES = 32  # lines that are decoded together


@dataclass(frozen=True)
class Said:
    """A spoken line, and what the checks say of it.

    sound: (samples,) float32; empty if any part of the line produced no audio. found: the faults of the first draws.
    left: the faults that are left. draws: the draws of all parts. cut: how many parts ran on and were cut.
    """

    sound: np.ndarray
    found: list[str]
    left: list[str]
    draws: int
    cut: int


def parts(voice: Voice, line: Line, soon: bool = False) -> list[Part]:
    """Split a line into parts that are each spoken at once, see `split_text`.

    A part without a word, such as a line of asterisks between paragraphs, is left out: a model could say anything for
    it. The pause after it stays.

    Raises:
        UserError: the line is empty, or has characters that the vocabulary lacks.
    """
    if fault := words.fault_of(line.text):
        raise UserError(f"there is nothing to say ({fault}); give a text with words.")
    model, language = voice.model, line.language
    limit, abbreviations = model.characters(language), model.abbreviations(language)
    found = split_text(line.text, limit, lambda text: voice.takes(text, language), abbreviations, soon)
    found = _spoken(found)
    for part in found:
        voice.tokens(of_part(part, line))
    return found


def _spoken(found: Sequence[Part]) -> list[Part]:
    """The parts that have words. The last one before others takes over the break after these."""
    spoken: list[Part] = []
    for part in found:
        if not words.fault_of(part.text):
            spoken.append(part)
        elif spoken:
            spoken[-1] = replace(spoken[-1], ends_at=part.ends_at)
    return spoken


def of_part(part: Part, line: Line) -> Line:
    return Line(part.text, line.language, line.speed)


def say(
    voice: Voice,
    lines: Sequence[Line],
    speakers: Sequence[dict[str, Tensor]],
    settings: Decoding,
    seed: int,
    loudness: float = LOUDNESS,
    checks: Checks = CHECKS,
    marked: bool = False,
) -> Iterator[Said]:
    """Speak lines and yield each as soon as it is done, at `voice.rate` Hz.

    A line's sound depends on the line and the arguments for it, and not on the other lines.

    Args:
        speakers: one for each line, as `Voice.speaker` returns them.
        loudness, marked: see `finish`.

    Raises:
        UserError: see `parts` and `finish`; or the recogniser of the checks cannot be used.
    """
    checker = Checker(voice, checks, {line.language for line in lines})
    for start in range(0, len(lines), _LINES):
        batch = [
            (line, parts(voice, line), speaker)
            for line, speaker in zip(lines[start : start + _LINES], speakers[start : start + _LINES], strict=True)
        ]
        flat = [(of_part(part, line), speaker) for line, split, speaker in batch for part in split]
        texts, who = [line for line, _ in flat], [speaker for _, speaker in flat]
        drawn = iter(drawing.draw(voice, texts, who, settings, seed, checker, checks.tries))
        for line, split, _ in batch:
            own = list(islice(drawn, len(split)))
            speech = join([one.sound for one in own], [part.ends_at for part in split], voice.rate, line.speed)
            yield _said(finish(speech, voice.rate, loudness, marked), own)


def finish(sound: np.ndarray, rate: int, loudness: float = LOUDNESS, marked: bool = False) -> np.ndarray:
    """Make speech ready to be heard: at one loudness, and with the watermark if `marked`.

    Args:
        sound: (samples,) float32 at `rate` Hz.
        loudness: LUFS (ITU-R BS.1770). It is made quieter if a sample would come nearer to full scale than 1 dB.

    Raises:
        UserError: the watermark's package is missing.
    """
    levelled = audio.level(sound, loudness, PEAK, rate)
    return audio.level(watermark.add(levelled, rate), loudness, PEAK, rate) if marked and sound.size else levelled


def _said(sound: np.ndarray, drawn: Sequence[Drawn]) -> Said:
    return Said(
        sound,
        found=[fault for one in drawn for fault in one.found],
        left=[fault for one in drawn for fault in one.left],
        draws=sum(one.draws for one in drawn),
        cut=sum(one.cut for one in drawn),
    )


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
        pieces += [trim(sound, rate), pause(kind, rate, speed)]
    return np.concatenate(pieces[:-1])


def trim(sound: np.ndarray, rate: int) -> np.ndarray:
    """Cut a part's outer silence, except for a margin."""
    return audio.trim(sound, _TRIM_DB, _MARGIN, rate)


def pause(kind: Break, rate: int, speed: float = 1.0) -> np.ndarray:
    """The silence between two trimmed parts, (samples,) float32 zeros, see `join`."""
    return np.zeros(round(max(0.0, PAUSES[kind] / speed - 2 * _MARGIN) * rate), np.float32)
