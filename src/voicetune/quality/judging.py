"""Applies the limits of params.yaml to the figures of clips."""

from collections.abc import Collection, Sequence

from voicetune.data.clip import Clip
from voicetune.params.quality import Quality
from voicetune.quality.catalogue import CHECKS
from voicetune.quality.judged import Check, Judged, Reason
from voicetune.quality.measuring import Measured


def judge(
    clips: Sequence[Clip], measured: Sequence[Measured], quality: Quality, accepted: Collection[str]
) -> list[Judged]:  # type: ignore[valid-type]
    """Say of each clip why it is left out, and what is odd about it.

    Args:
        accepted: ids of the clips that a person keeps, whatever their figures are.
    """
    return [_judge(*both, quality, both[0].id in accepted) for both in zip(clips, measured, strict=True)]


def _judge(clip: Clip, measured: Measured, quality: Quality, accepted: bool) -> Judged:  # type: ignore[valid-type]
    reasons, warnings = [], []
    for check in CHECKS:
        value, limits = measured.figures[check.name], quality.limits(check.name)
        if _is_worse(check, value, limits.leave_out):
            reasons.append(Reason(check, _sentence(check, value, limits.leave_out, measured)))
        elif _is_worse(check, value, limits.warn):
            warnings.append(Reason(check, _sentence(check, value, limits.warn, measured)))
    return Judged(clip, measured.figures, reasons, warnings, measured.heard, "accept" if accepted else "")


def _is_worse(check: Check, value: float | None, limit: float | None) -> bool:
    if value is None or limit is None:
        return False
    return value > limit if check.better == "lower" else value < limit


def _sentence(check: Check, value: float | None, limit: float | None, measured: Measured) -> str:
    bound = "at most" if check.better == "lower" else "at least"
    digits = check.digits + (shown(check, value) == shown(check, limit))  # a figure just past its limit needs one more
    detail = measured.details.get(check.name)
    figure = shown(check, value, digits) + (f" {detail}" if detail else "")
    return f"{check.label}: {figure}, {bound} {shown(check, limit, digits)}"


def shown(check: Check, value: float | None, digits: int | None = None) -> str:
    """A figure with its unit, such as `12 dB`; empty if there is none."""
    if value is None:
        return ""
    return f"{value:,.{check.digits if digits is None else digits}f} {check.unit}".rstrip()
