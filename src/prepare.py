"""Stage prepare: the sources of params.yaml -> data/clips, clean clips with a manifest, split in two.

Every clip is decoded (or spoken by espeak-ng), brought to 22,050 Hz mono, trimmed and levelled. What fails
is left out and listed with its reason in data/clips/left_out.csv.
"""

import csv
import multiprocessing
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from voicetune import params, stage
from voicetune.data import audio, clip, readers
from voicetune.data.clip import Clip
from voicetune.data.readers import Utterance
from voicetune.data.split import HELD_OUT, TRAIN, split
from voicetune.errors import UserError

CLIPS = Path("data/clips")
METRICS = Path("metrics/prepare.json")
QUIETEST = 0.001  # a recording that never passes -60 dB of full scale holds no speech


@dataclass(frozen=True)
class LeftOut:
    """A clip that is not used. reason: a short one, and after ": " what is special to this clip."""

    id: str
    source: str
    reason: str


def main() -> None:
    options = params.load()
    prepare = options.prepare
    utterances = readers.read(prepare.sources)
    if CLIPS.exists():
        shutil.rmtree(CLIPS)

    results = list(stage.track(_make_all(utterances, prepare), "preparing clips", len(utterances)))
    left_out = [result for result in results if isinstance(result, LeftOut)]
    kept = [(u, result) for u, result in zip(utterances, results, strict=True) if not isinstance(result, LeftOut)]
    _write_left_out(left_out)
    _check_left(left_out, len(kept))

    sides = split([(u.source, u.text) for u, _ in kept], prepare.held_out, options.seed)
    _check_split(sides)
    clips = [_clip(u, seconds, side) for (u, seconds), side in zip(kept, sides, strict=True)]
    clip.write(CLIPS / "clips.csv", clips)
    figures = _figures(clips, left_out, [source.name for source in prepare.sources])
    stage.write_json(METRICS, figures)
    _show(figures)


def make(utterance: Utterance, prepare: params.Prepare) -> float | LeftOut:
    """Make one clip's file.

    Returns:
        its length in seconds after cleaning, or why it is left out.

    Raises:
        UserError: espeak-ng lacks the voice, which is no fault of this one clip.
    """
    leave_out = partial(LeftOut, utterance.id, utterance.source)
    limit = params.CHARACTER_LIMITS[utterance.language]
    if not utterance.text:
        return leave_out("empty text")
    if len(utterance.text) > limit:
        return leave_out(f"text too long: {len(utterance.text)} characters, at most {limit} in '{utterance.language}'")
    if isinstance(utterance.origin, Path) and not utterance.origin.is_file():
        return leave_out(f"missing recording: {utterance.origin}")
    try:
        samples, rate = readers.sound(utterance)
    except UserError as error:
        if not isinstance(utterance.origin, Path):
            raise
        return leave_out(f"undecodable: {error}")
    if np.abs(samples).max(initial=0.0) < QUIETEST:
        return leave_out("silent")
    if samples.size < prepare.min_seconds * rate:  # cleaning only shortens it
        return leave_out(_too_short(samples.size / rate, prepare))

    samples = audio.clean(samples, rate, trim_db=prepare.trim_db, loudness=prepare.loudness, peak=prepare.peak)
    seconds = samples.size / audio.SAMPLE_RATE
    if seconds < prepare.min_seconds:
        return leave_out(_too_short(seconds, prepare))
    if seconds > prepare.max_seconds:
        return leave_out(f"too long: {seconds:.2f} s, at most {prepare.max_seconds:g} s")
    audio.write(CLIPS / _file(utterance), samples)
    return round(seconds, 3)


def _make_all(utterances: list[Utterance], prepare: params.Prepare) -> Iterator[float | LeftOut]:
    """Make all clips, in processes; the results come in the order of the utterances."""
    work = partial(make, prepare=prepare)
    jobs = min(prepare.jobs or os.cpu_count() or 1, len(utterances))
    if jobs == 1:
        yield from map(work, utterances)
        return
    # spawn: a fork would copy the progress bar's thread in whatever state it is
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker) as pool:
            yield from pool.map(work, utterances, chunksize=4)
    except BrokenProcessPool:
        raise UserError(
            "a process that prepared clips died, perhaps for want of memory; set prepare.jobs to 1 in params.yaml."
        ) from None


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, which says one sentence, and end with it if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _file(utterance: Utterance) -> str:
    return f"{utterance.id}.flac"


def _too_short(seconds: float, prepare: params.Prepare) -> str:
    return f"too short: {seconds:.2f} s, at least {prepare.min_seconds:g} s"


def _clip(utterance: Utterance, seconds: float, side: str) -> Clip:
    u = utterance
    return Clip(u.id, _file(u), u.text, u.language, u.speaker, u.source, seconds, side)


def _write_left_out(left_out: list[LeftOut]) -> None:
    CLIPS.mkdir(parents=True, exist_ok=True)
    with (CLIPS / "left_out.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "source", "reason"])
        writer.writerows([entry.id, entry.source, entry.reason] for entry in left_out)


def _check_left(left_out: list[LeftOut], kept: int) -> None:
    if kept == 0:
        first = left_out[0]
        raise UserError(
            f"all {len(left_out)} clips are left out, '{first.id}' because of {first.reason.removesuffix('.')}; "
            f"see {CLIPS / 'left_out.csv'} and correct the sources."
        )


def _check_split(sides: list[str]) -> None:
    if HELD_OUT not in sides:  # `split` always leaves one to train on
        raise UserError(
            f"no source has two different texts among the {len(sides)} clip(s) that remain, one to train on and one "
            f"to measure with; see {CLIPS / 'left_out.csv'} and add clips."
        )


def _figures(clips: list[Clip], left_out: list[LeftOut], sources: list[str]) -> dict[str, Any]:
    """What metrics/prepare.json holds: clips and minutes in all, per source and split; left out by reason."""
    per_source = {}
    for name in sources:
        own = [entry for entry in clips if entry.source == name]
        sides = {side: _amount(entry for entry in own if entry.split == side) for side in (TRAIN, HELD_OUT)}
        per_source[name] = {**_amount(own), **sides}
    reasons = Counter(entry.reason.split(": ")[0] for entry in left_out)
    return {**_amount(clips), "sources": per_source, "left_out": dict(sorted(reasons.items()))}


def _amount(clips: Iterable[Clip]) -> dict[str, float]:
    seconds = [entry.seconds for entry in clips]
    return {"clips": len(seconds), "minutes": round(sum(seconds) / 60, 2)}


def _show(figures: dict[str, Any]) -> None:
    table = Table("source", "clips", "minutes", "train", "held out")
    for name, amount in figures["sources"].items():
        counts = [amount["clips"], amount["minutes"], amount[TRAIN]["clips"], amount[HELD_OUT]["clips"]]
        table.add_row(name, *map(str, counts))
    stage.console.print(table)
    print(f"{figures['clips']} clips, {figures['minutes']} minutes")
    for reason, count in figures["left_out"].items():
        print(f"left out: {count} ({reason}), see {CLIPS / 'left_out.csv'}")


if __name__ == "__main__":
    stage.run(main)
