"""Recognises the words of a long recording, in parts of about ten minutes. What was recognised of each part is kept.

A part ends in a pause. It is kept below .cache/transcripts, under a hash of the recording, of the recogniser and of
what this module does. So a part is recognised once, also if the run was killed or the file got another name.
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from voicetune import files
from voicetune.data import recordings
from voicetune.errors import UserError
from voicetune.recognition.recogniser import without_loops
from voicetune.shapes import Record
from voicetune.transcripts import stretches
from voicetune.transcripts.stretches import RATE

KEPT = Path(".cache/transcripts")
_VERSION = "1"  # goes up with each change of what a part holds
_PART = 600  # seconds
_LAST = 60  # seconds at the end of a part in which the longest pause is looked for
_WINDOW = 28  # seconds that Whisper takes at once; it could take 30
_NEW_WINDOW = 2.0  # seconds of pause, after which a new window begins
_SHORT_WINDOW, _NEW_SHORT = 10, 0.4  # the same for what it missed at first
_MISSED = 0.5  # seconds; a shorter sound without words may be a breath
_MARGIN = 0.2  # seconds before and after a window
_LANGUAGES = 0.8  # probability from which a window counts as being in another language


_Cut = tuple[float, float, float]
"""A stretch of speech: begin, end, and the quietest moment of the pause after it, in seconds."""


class Word(Record):
    """A word as the recogniser wrote it. text: with the space before it. start, end: seconds in the recording."""

    text: str
    start: float
    end: float
    probability: float


class Part(Record):
    """What is known of a part of a recording. All times are seconds in the recording.

    stretches: of speech, see `stretches`. cuts: the quietest moment of the pause after each stretch. foreign:
    windows that are in another language, with its name; their words are not in `words`. last: whether it is the
    recording's last part. fault: why the recording ends there, if it is damaged.
    """

    begin: float
    end: float
    stretches: list[tuple[float, float]]
    cuts: list[float]
    words: list[Word]
    foreign: list[tuple[float, float, str]]
    last: bool
    fault: str


@dataclass(frozen=True)
class WordRecogniser:
    """An open Whisper model. name: a hash of its weights. workers: how many windows it transcribes at once."""

    model: Any
    name: str
    language: str
    workers: int

    def recognise(self, samples: np.ndarray) -> tuple[list[Word], str]:
        """Transcribe at most 30 s of speech.

        Args:
            samples: (samples,) float32 at 16 kHz.

        Returns:
            the words, with times in seconds from the first sample; and the language, if it is clearly another one than
            it should be, else "".
        """
        from faster_whisper import BatchedInferencePipeline

        if other := self._other_language(samples):
            return [], other

        # A pipeline of one window: WhisperModel.transcribe would transcribe what follows the last word twice.
        def segments(**more: int) -> list[Any]:
            found, _ = BatchedInferencePipeline(self.model).transcribe(
                samples, language=self.language, beam_size=5, temperature=0.0, vad_filter=False, batch_size=1,
                word_timestamps=True, without_timestamps=True, **more,
            )  # fmt: skip
            return list(found)

        words = [word for segment in without_loops(segments) for word in segment.words or ()]
        return [
            Word(text=w.word, start=float(w.start), end=float(w.end), probability=float(w.probability)) for w in words
        ], ""

    def _other_language(self, samples: np.ndarray) -> str:
        if not self.model.model.is_multilingual or len(samples) < 5 * RATE:
            return ""
        language, probability, _ = self.model.detect_language(samples)
        return language if language != self.language and probability >= _LANGUAGES else ""


def place_of(path: Path, recogniser: WordRecogniser) -> Path:
    """The folder where the parts of a recording are kept."""
    key = f"{_VERSION} {files.sha256(path)} {recogniser.name} {recogniser.language} {_PART}"
    return KEPT / hashlib.sha256(key.encode()).hexdigest()[:32]


def parts(
    path: Path, place: Path, recogniser: WordRecogniser, recognised: Callable[[Part], None] = lambda _: None
) -> list[Part]:
    """Everything that is recognised in a recording.

    Args:
        place: see `place_of`.
        recognised: called with each part that was recognised now, and not before.

    Raises:
        UserError: the recording has no sound that can be decoded, or a part cannot be kept.
    """
    known = _known(place)
    if known and known[-1].last:
        return known
    for samples, begin, last, fault in cut(path, round(known[-1].end * RATE) if known else 0):
        part = _recognise_part(samples, begin, recogniser, last, fault)
        with files.writing(place):
            place.mkdir(parents=True, exist_ok=True)
        files.put(place / f"{len(known):04d}.json", part.model_dump_json().encode())
        known.append(part)
        recognised(part)
    return known


def _known(place: Path) -> list[Part]:
    """The parts that are kept, up to the first one that is missing or damaged."""
    found: list[Part] = []
    while (path := place / f"{len(found):04d}.json").exists():
        try:
            found.append(Part.model_validate_json(files.read_text(path, "remove it"), strict=False))
        except (ValidationError, UserError):
            break
    return found


def cut(path: Path, begin: int) -> Iterator[tuple[np.ndarray, int, bool, str]]:
    """Cut a recording into parts, from a sample on.

    Yields:
        the part's samples at 16 kHz, its first sample's number, whether it is the last one, and why it is.
    """
    rest, skip, fault = np.zeros(0, np.float32), begin, ""
    for block, fault in _resampled(path):  # noqa: B007 - the last one counts
        rest = np.concatenate([rest, block[skip:]])
        skip = max(0, skip - len(block))
        while len(rest) > _PART * RATE:
            end = _pause_in(rest[: _PART * RATE])
            yield rest[:end], begin, False, ""
            rest, begin = rest[end:], begin + end
    yield rest, begin, True, fault


def _resampled(path: Path) -> Iterator[tuple[np.ndarray, str]]:
    """A recording at 16 kHz, in blocks of some seconds. The last block is empty if the file is damaged, with the fault.

    Raises:
        UserError: nothing can be decoded.
    """
    waiting: list[np.ndarray] = []
    resampler, rate = None, RATE
    try:
        for samples, rate in recordings.stream(path):
            resampler = resampler or soxr.ResampleStream(rate, RATE, 1, "float32")
            waiting.append(np.nan_to_num(samples, posinf=0.0, neginf=0.0))
            if sum(map(len, waiting)) > 10 * rate:
                yield resampler.resample_chunk(np.concatenate(waiting)), ""
                waiting = []
    except recordings.Unusable as error:
        if resampler is None:
            raise
        yield resampler.resample_chunk(np.concatenate([np.zeros(0, np.float32), *waiting]), last=True), ""
        yield np.zeros(0, np.float32), str(error)
        return
    assert resampler is not None  # `stream` raises if there are no samples
    yield resampler.resample_chunk(np.concatenate([np.zeros(0, np.float32), *waiting]), last=True), ""


def _pause_in(samples: np.ndarray) -> int:
    """The sample in the middle of the longest pause near the end; the end itself, if there is none."""
    near = samples[-_LAST * RATE :]
    found = stretches.find(near)
    if not found:
        return len(samples)
    gaps = [(after - before, before, after) for (_, before), (after, _) in pairwise(found)]
    gaps.append((len(near) / RATE - found[-1][1], found[-1][1], len(near) / RATE))
    length, before, after = max(gaps)
    return len(samples) - len(near) + round((before + after) / 2 * RATE) if length > 0 else len(samples)


def _recognise_part(samples: np.ndarray, first: int, recogniser: WordRecogniser, last: bool, fault: str) -> Part:
    """Hear a part whose first sample has this number in the recording.

    Whisper sometimes writes nothing, or stops early. So it gets the stretches without words again, in short windows.
    """
    begin, whole = first / RATE, len(samples) / RATE
    found = stretches.find(samples) if len(samples) else []
    ends = ([start for start, _ in found[1:]] + [whole])[: len(found)]
    cuts = [stretches.quietest(samples, before, after) for (_, before), after in zip(found, ends, strict=True)]
    every = [(start, end, cut) for (start, end), cut in zip(found, cuts, strict=True)]
    words, foreign = _recognise_windows(samples, list(_windows(every, _WINDOW, _NEW_WINDOW)), recogniser)
    missed = [one for one in every if _is_missed(one, words, foreign)]
    more, others = _recognise_windows(samples, list(_windows(missed, _SHORT_WINDOW, _NEW_SHORT)), recogniser)
    return Part(
        begin=begin, end=begin + whole, last=last, fault=fault,
        stretches=[(begin + start, begin + end) for start, end in found], cuts=[begin + one for one in cuts],
        words=[
            one.model_copy(update={"start": begin + one.start, "end": begin + one.end})
            for one in sorted(words + more, key=lambda word: word.start)
        ],
        foreign=[(begin + start, begin + end, name) for start, end, name in foreign + others],
    )  # fmt: skip


def _recognise_windows(
    samples: np.ndarray, windows: list[tuple[float, float]], recogniser: WordRecogniser
) -> tuple[list[Word], list[tuple[float, float, str]]]:
    """The words of some windows, and the windows in another language. All times are seconds in the samples.

    NumPy computes their mel spectrograms. The number of its threads decides the order of floating-point sums, so it has
    one, and the words do not depend on the number of cores.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(recogniser.workers) as pool:
        recognised = list(
            pool.map(lambda one: recogniser.recognise(samples[round(one[0] * RATE) : round(one[1] * RATE)]), windows)
        )
    words: list[Word] = []
    foreign = []
    for (start, end), (found, language) in zip(windows, recognised, strict=True):
        words += [one.model_copy(update={"start": start + one.start, "end": start + one.end}) for one in found]
        foreign += [(start, end, language)] if language else []
    return words, foreign


def _is_missed(stretch: _Cut, words: list[Word], foreign: list[tuple[float, float, str]]) -> bool:
    """Whether a stretch of speech has no word, although its window is in the right language."""
    start, end, _ = stretch
    known = [*((one.start, one.end) for one in words), *((begin, until) for begin, until, _ in foreign)]
    return end - start >= _MISSED and all(min(until, end) - max(begin, start) < 0.05 for begin, until in known)


def _windows(found: list[_Cut], longest: float, pause: float) -> Iterator[tuple[float, float]]:
    """Join stretches to windows that Whisper transcribes at once. A window ends in a long pause, if there is one.

    Args:
        longest: seconds of a window. pause: seconds of a pause that no window has inside.
    """
    at = 0
    while at < len(found):
        start, until = found[at][0], at + 1
        while until < len(found) and found[until][1] - start <= longest and _gap(found, until) < pause:
            until += 1
        if until < len(found) and _gap(found, until) < pause:  # it is full: end it in the longest pause
            late = [i for i in range(at + 1, until + 1) if found[i - 1][1] - start > longest / 3]
            until = max(late, key=lambda i: _gap(found, i), default=until)
        begin = max(start - _MARGIN, found[at - 1][2] if at else 0.0)
        end = min(found[until - 1][1] + _MARGIN, found[until - 1][2])
        pieces = max(1, math.ceil((end - begin) / (_WINDOW + 1)))  # speech without a pause is cut anywhere
        for i in range(pieces):
            yield begin + (end - begin) * i / pieces, begin + (end - begin) * (i + 1) / pieces
        at = until


def _gap(found: list[_Cut], i: int) -> float:
    """Seconds of the pause before a stretch."""
    return found[i][0] - found[i - 1][1]
