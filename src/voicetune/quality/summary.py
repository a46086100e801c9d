"""Sums up what quality control found: whether the recordings are enough, clean enough, and what to mend first."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from voicetune.data.amounts import count_clips
from voicetune.data.split import TRAIN
from voicetune.quality.catalogue import BY_NAME, CHECKS, TWINS
from voicetune.quality.judged import Check, Judged, Reason
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
        "kept": count_clips([one.clip for one in judged if one.kept]),
        "accepted": count_clips([one.clip for one in judged if one.kept and one.reasons]),
        "left_out": _by_check([(one, one.reasons) for one in judged if not one.kept]),
        "warned": _by_check([(one, one.warnings) for one in judged if one.kept]),
        "median": medians,
    }


def _by_check(found: Sequence[tuple[Judged, list[Reason]]]) -> dict[str, dict[str, float]]:
    labels = sorted({reason.check.label for _, reasons in found for reason in reasons})
    return {label: count_clips([one.clip for one, reasons in found if label in _labels(reasons)]) for label in labels}


def _labels(reasons: Sequence[Reason]) -> list[str]:
    return [one.check.label for one in reasons]


def sentences(judged: Sequence[Judged]) -> list[str]:
    """What a person wants to know: is it enough, is it clean, what to mend first, and what that gains."""
    return [_enough(judged), _clean(judged), *_mend(judged)]


def _enough(judged: Sequence[Judged]) -> str:
    training = count_clips([one.clip for one in judged if one.kept and one.clip.split == TRAIN])
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
    single = [(one, check) for one in judged if not one.kept and (check := _only_check(one.reasons))]
    seconds: Counter[Check] = Counter()
    for one, check in single:
        seconds[check] += round(one.clip.seconds)
    if seconds:
        worst = seconds.most_common(1)[0][0]
        gain = count_clips([one.clip for one, check in single if check is worst])
        return [
            f"What to mend first? {worst.label}: {worst.remedy}."
            f" That gains {gain['clips']} clips, {gain['minutes']:g} minutes."
        ]
    odd = Counter(warning.check for one in judged if one.kept for warning in one.warnings)
    if odd:
        check, count = odd.most_common(1)[0]
        return [f"What to mend first? Nothing has to be. {count} clips are odd in their {check.label}: {check.remedy}."]
    return ["What to mend first? Nothing: no clip is left out, and none is odd."]


def _only_check(reasons: Sequence[Reason]) -> Check | None:
    """The check whose remedy alone wins a clip back; None if several are needed. To remove a copy gains nothing."""
    checks = {one.check for one in reasons}
    return next(iter(checks)) if len(checks) == 1 and next(iter(checks)).name not in TWINS else None
