"""Sums up what quality control found: whether the recordings are enough, clean enough, and what to mend first."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from voicetune.data.split import TRAIN
from voicetune.quality.catalogue import BY_NAME, CHECKS, TWINS
from voicetune.quality.judged import Judged
from voicetune.quality.judging import shown

_LITTLE, _ENOUGH = 5.0, 20.0  # minutes of training clips; docs/quality.md says where these come from
_OF_A_ROOM = ("snr", "bandwidth", "level")  # figures that one room and one microphone give to all clips


def figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Contents of metrics/quality.json: clips and minutes that are kept, left out and warned of, and medians."""
    medians = {
        check.name: round(median(values), check.digits + 1)
        for check in CHECKS
        if (values := [value for one in judged if (value := one.figures[check.name]) is not None])
    }
    return {
        "kept": _amount([one for one in judged if one.kept]),
        "accepted": _amount([one for one in judged if one.kept and one.reasons]),
        "left_out": _by_kind([(one, one.reasons) for one in judged if not one.kept]),
        "warned": _by_kind([(one, one.warnings) for one in judged if one.kept]),
        "median": medians,
    }


def _amount(clips: Sequence[Judged]) -> dict[str, float]:
    return {"clips": len(clips), "minutes": round(sum(one.clip.seconds for one in clips) / 60, 2)}


def _by_kind(found: Sequence[tuple[Judged, list[str]]]) -> dict[str, dict[str, float]]:
    kinds = sorted({_kind(sentence) for _, sentences in found for sentence in sentences})
    return {kind: _amount([one for one, all_ in found if kind in map(_kind, all_)]) for kind in kinds}


def _kind(sentence: str) -> str:
    return sentence.split(": ")[0]


def sentences(judged: Sequence[Judged]) -> list[str]:
    """What a person wants to know: is it enough, is it clean, what to mend first, and what that gains."""
    return [_enough(judged), _clean(judged), *_mend(judged)]


def _enough(judged: Sequence[Judged]) -> str:
    training = _amount([one for one in judged if one.kept and one.clip.split == TRAIN])
    minutes = training["minutes"]
    verdict = (
        "too little to learn a voice well; record more" if minutes < _LITTLE
        else "enough to begin with; more of it makes the voice more robust" if minutes < _ENOUGH
        else "enough"
    )  # fmt: skip
    return f"Is it enough? {minutes:g} minutes in {training['clips']} clips are left to train on: {verdict}."


def _clean(judged: Sequence[Judged]) -> str:
    out = [one for one in judged if not one.kept]
    warned = [one for one in judged if one.kept and one.warnings]
    common = {name: median([one.figures[name] or 0.0 for one in judged]) for name in _OF_A_ROOM}
    typical = ", ".join(f"{BY_NAME[name].label} {shown(BY_NAME[name], value)}" for name, value in common.items())
    return (
        f"Is it clean? Of {len(judged)} clips, {len(out)} are left out and {len(warned)} more are odd."
        f" The median clip has {typical}."
    )


def _mend(judged: Sequence[Judged]) -> list[str]:
    """The reason that costs the most minutes, and what is won back if its clips are mended."""
    copies = {BY_NAME[name].label for name in TWINS}  # to remove a copy gains nothing
    single = [one for one in judged if not one.kept and len({*map(_kind, one.reasons)} - copies) == 1]
    seconds: Counter[str] = Counter()
    for one in single:
        seconds[_kind(one.reasons[0])] += round(one.clip.seconds)
    if seconds:
        label = seconds.most_common(1)[0][0]
        gain = _amount([one for one in single if _kind(one.reasons[0]) == label])
        return [
            f"What to mend first? {label}: {_remedy(label)}."
            f" That gains {gain['clips']} clips, {gain['minutes']:g} minutes."
        ]
    odd = Counter(_kind(warning) for one in judged if one.kept for warning in one.warnings)
    if odd:
        label, count = odd.most_common(1)[0]
        return [f"What to mend first? Nothing has to be. {count} clips are odd in their {label}: {_remedy(label)}."]
    return ["What to mend first? Nothing: no clip is left out, and none is odd."]


def _remedy(label: str) -> str:
    return next(check.remedy for check in CHECKS if check.label == label)
