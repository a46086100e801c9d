"""Finds segments of one recording that share speech, which would be in two clips, perhaps on two sides of the split."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from voicetune.data.utterance import Segment, Utterance

_SHARED = 0.5  # seconds that two segments may share: many lists leave a margin around each sentence


def mark(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Give segments that overlap others a fault, as few as possible: first the one that overlaps the most others, so
    that one wrong time costs one clip. Of two that overlap only each other, the first stays."""
    of_file: dict[Path, list[int]] = {}
    for i, one in enumerate(utterances):
        if isinstance(one.origin, Segment) and 0 <= one.origin.start < one.origin.end and one.text and not one.fault:
            of_file.setdefault(one.origin.path, []).append(i)
    marked = list(utterances)
    for positions in of_file.values():
        segments = {i: one.origin for i in positions if isinstance((one := utterances[i]).origin, Segment)}
        for i, other in _surplus(segments).items():
            fault = (
                f"overlapping: more than {_SHARED:g} s of it are in '{utterances[other].id}' too; correct their times"
            )
            marked[i] = replace(utterances[i], fault=fault)
    return marked


def _surplus(segments: dict[int, Segment]) -> dict[int, int]:
    """The segments to leave out, each with one that it overlaps."""
    shared: dict[int, set[int]] = {}
    active: list[int] = []
    for i in sorted(segments, key=lambda i: (segments[i].start, i)):
        active = [j for j in active if segments[j].end - segments[i].start > _SHARED]
        for j in active:
            if min(segments[i].end, segments[j].end) - segments[i].start > _SHARED:
                shared.setdefault(i, set()).add(j)
                shared.setdefault(j, set()).add(i)
        active.append(i)
    surplus: dict[int, int] = {}
    while shared:
        worst = max(shared, key=lambda i: (len(shared[i]), segments[i].start, i))
        others = shared.pop(worst)
        surplus[worst] = min(others)
        for other in others:
            shared[other].discard(worst)
            if not shared[other]:
                del shared[other]
    return surplus
