"""Turns utterances into the files of clean clips, or into the reasons to leave them out, in several processes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from voicetune import engine, families
from voicetune.data import as_recorded, audio, recordings, sounds, words
from voicetune.data.as_recorded import AsRecorded
from voicetune.data.clip import Clip
from voicetune.data.left_out import LeftOut
from voicetune.data.utterance import Utterance
from voicetune.params.data import Prepare
from voicetune.params.unlisted import Unlisted


@dataclass(frozen=True)
class Made:
    """A clip's file: its length in seconds after cleaning, and the figures of its recording before that."""

    seconds: float
    recorded: AsRecorded


def make(utterance: Utterance, folder: Path, prepare: Prepare) -> Made | LeftOut:
    """Make one clip's file.

    Returns:
        what was made, or why the clip is left out.

    Raises:
        UserError: espeak-ng lacks the voice, which is not a fault of this one clip.
    """
    leave_out = partial(LeftOut, utterance.id, utterance.source)
    limit = families.most_characters(utterance.language)
    if not utterance.text:
        return leave_out(utterance.fault or "empty text")
    if len(utterance.text) > limit:
        return leave_out(f"text too long: {len(utterance.text)} characters, at most {limit} in '{utterance.language}'")
    if fault := words.fault_of_transcript(utterance.text):
        return leave_out(fault)
    if utterance.fault:
        return leave_out(utterance.fault)
    try:
        samples, rate = sounds.sound(utterance)
    except recordings.Unusable as error:
        return leave_out(f"{error.kind}: {error}")
    if fault := audio.fault_of(samples):
        return leave_out(fault)
    if samples.size < prepare.min_seconds * rate:  # cleaning cannot make it longer
        return leave_out(_too_short(samples.size / rate, prepare))

    recorded = as_recorded.measure(utterance.id, samples, rate)
    samples = audio.clean(samples, rate, trim_db=prepare.trim_db, loudness=prepare.loudness, peak=prepare.peak)
    seconds = samples.size / audio.SAMPLE_RATE
    if seconds < prepare.min_seconds:
        return leave_out(_too_short(seconds, prepare))
    if seconds > prepare.max_seconds:
        return leave_out(f"too long: {seconds:.2f} s, at most {prepare.max_seconds:g} s")
    audio.write(folder / _file_name(utterance), samples)
    return Made(round(seconds, 3), recorded)


def make_all(
    utterances: list[Utterance], folder: Path, prepare: Prepare, settings: Unlisted
) -> Iterator[Made | LeftOut]:
    """Make all clips in several processes. The results are in the order of the utterances.

    Args:
        settings: how many processes, and where.

    Raises:
        UserError: see `make` and `engine.map_all`.
    """
    return engine.map_all(partial(make, folder=folder, prepare=prepare), utterances, settings)


def clip_of(utterance: Utterance, seconds: float, side: str) -> Clip:
    """The record of a clip that `make` made.

    Args:
        seconds: its length. side: `train`, `validation` or `test`.
    """
    u = utterance
    return Clip(u.id, _file_name(u), u.text, u.language, u.speaker, u.source, seconds, side)


def _file_name(utterance: Utterance) -> str:
    return f"{utterance.id}.flac"


def _too_short(seconds: float, prepare: Prepare) -> str:
    return f"too short: {seconds:.2f} s, at least {prepare.min_seconds:g} s"
