"""Turns utterances into the files of clean clips, or into the reasons to leave them out, in several processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from voicetune import families
from voicetune.data import as_recorded, audio, recordings, sounds, words
from voicetune.data.as_recorded import AsRecorded
from voicetune.data.clip import Clip
from voicetune.data.left_out import LeftOut
from voicetune.data.utterance import Utterance
from voicetune.errors import UserError
from voicetune.params.data import Prepare


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
    limit = max(one.CHARACTERS.get(utterance.language, 0) for one in families.limits())  # what no model can speak
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
    if fault := audio.fault_of(samples, rate):
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


def make_all(utterances: list[Utterance], folder: Path, prepare: Prepare, jobs: int) -> Iterator[Made | LeftOut]:
    """Make all clips in several processes. The results are in the order of the utterances.

    Args:
        jobs: how many processes; 0 means one for each core.

    Raises:
        UserError: see `make`; or a process died.
    """
    work = partial(make, folder=folder, prepare=prepare)
    jobs = min(jobs or os.cpu_count() or 1, len(utterances))
    if jobs == 1:
        yield from map(work, utterances)
        return
    # spawn: a fork could copy the progress bar in the middle of what its thread does
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker) as pool:
            yield from pool.map(work, utterances, chunksize=4)
    except BrokenProcessPool:
        raise UserError(
            "a process that prepared clips was killed, perhaps because memory ran out; set `jobs: 1` in params.yaml."
        ) from None


def _start_worker() -> None:
    """Ignore Ctrl-C, which the parent reports in one sentence, and exit if the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
