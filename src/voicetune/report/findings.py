"""Find what a careful reader would say of two phases' curves. Each finding is a sentence or a few, with the figures.

These are pure functions of figures, so they work on the figures of any run. `tests/test_report.py` feeds them a run
from which its owner drew three conclusions that its figures contradict.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voicetune.measures.catalogue import HEADLINES

_SAME = 1e-3  # nats; less is no difference. Two measurements of one model on the same clips differ by far less
_FEWEST = 3  # fewest evaluations that a trend is fitted to
_FAR = 10  # a curve is continued to at most this many times its steps
_RISE = 0.002  # share of the mel CE; a smaller rise does not count

Point = tuple[float, float]
Pair = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class PhaseCurves:
    """The measurements of one phase.

    start: validation mel CE before the first step; None if nobody measured it. validation, train: pairs of step and mel
    CE, with steps counted from the start of the phase. clips_per_step: None if unknown. target: `target_mel_ce`.
    """

    name: str
    start: float | None
    validation: Sequence[Point]
    train: Sequence[Point] = ()
    clips_per_step: int | None = None
    target: float | None = None

    @property
    def best(self) -> Point:
        """Step and mel CE of the best evaluation, the first if several are equal. The start counts, as step 0."""
        return min(
            [*([(0, self.start)] if self.start is not None else []), *self.validation], key=lambda point: point[1]
        )

    @property
    def steps(self) -> float:
        return self.validation[-1][0] if self.validation else 0  # its start is at the target, so it takes no step


@dataclass(frozen=True)
class Finding:
    """kind: a name for programs. says: in sentences. warns: whether it is bad news, or makes good news doubtful."""

    kind: str
    says: str
    warns: bool = False


def find(phases: Sequence[PhaseCurves], pair: Pair | None = None, clips: int = 0) -> list[Finding]:
    """Collect all findings about phase 1 and phase 2.

    Args:
        pair: the paired differences between them, as in metrics/compare/changes.json; None if they were not measured.
        clips: how many test clips the paired differences are computed from.
    """
    first, second = phases
    found = [*_gains(first), *_late_start(first, second), *_gains(second), *_rates(first, second)]
    for phase in phases:
        found += [*_first_is_best(phase), *_overfitting(phase)]
    if pair is not None:
        found += _real(second, pair, clips)
    found += [*_more_of_the_first(first, second, pair), *_target(second if second.target else first)]
    return found if pair is None else [*found, *_disagreement(pair)]


def of_languages(languages: Mapping[str, Mapping[str, Any]], published: str) -> list[Finding]:
    """Say of each language whether the published model predicts its test clips better or worse than the base did.

    Args:
        languages: as in metrics/compare/languages.json; empty if there is one language.
        published: `base`, `phase1` or `phase2`.
    """
    return [
        _of_language(language, found["changes"][f"base_{published}"]["mel_ce"])
        for language, found in languages.items()
        if published != "base"
    ]


def _of_language(language: str, change: Mapping[str, Any]) -> Finding:
    figures = (
        f"from {change['from']:.3f} to {change['to']:.3f} ({change['difference']:+.3f}, 95 % interval "
        f"{change['low']:+.3f} to {change['high']:+.3f})"
    )
    if change["excludes_zero"] and change["difference"] > 0:
        remedy = "If the base spoke it well, it is being forgotten: train with more clips of it, too."
        return Finding("forgotten", f"In the language {language}, the mel CE rose {figures}. {remedy}", True)
    certain = "" if change["excludes_zero"] else ", which is not different from zero"
    return Finding("language", f"In the language {language}, the mel CE went {figures}{certain}.")


def _gains(phase: PhaseCurves) -> Iterator[Finding]:
    if phase.start is None:
        yield Finding(
            "start_unknown",
            f"The mel CE before the first step of {phase.name} was not measured, so its gain is unknown.",
            True,
        )
        return
    step, best = phase.best
    if not phase.steps:
        yield Finding(
            "no_step",
            f"{phase.name.capitalize()} took no step: the model that it started from had already reached "
            f"target_mel_ce, with a validation mel CE of {phase.start:.3f}.",
            True,
        )  # fmt: skip
        return
    yield Finding(
        "gain",
        f"{phase.name.capitalize()} changed the validation mel CE from {phase.start:.3f}, measured before its first "
        f"step, to {best:.3f} ({best - phase.start:+.3f}), its best, at step {step:g} of {phase.steps:g}.",
        best >= phase.start,
    )  # fmt: skip


def _late_start(first: PhaseCurves, second: PhaseCurves) -> Iterator[Finding]:
    """Report it if phase 2 did not begin at phase 1's best mel CE.

    Otherwise phase 2 would get the credit for a change that happened between the phases.
    """
    if second.start is None or abs(second.start - first.best[1]) <= _SAME:
        return
    claimed, between = first.best[1] - second.best[1], first.best[1] - second.start
    yield Finding(
        "gain_before_start",
        f"{second.name.capitalize()} started at a mel CE of {second.start:.3f}, but the best of {first.name} is "
        f"{first.best[1]:.3f}. So of the {claimed:.3f} between the best models of both phases, {between:.3f} arose "
        f"before {second.name} started, and only {claimed - between:.3f} is the gain of {second.name}.",
        True,
    )  # fmt: skip


def _rates(first: PhaseCurves, second: PhaseCurves) -> Iterator[Finding]:
    if first.start is None or second.start is None or not first.steps or not second.steps:
        return
    rates = [(phase.start - phase.best[1]) / phase.steps for phase in (first, second) if phase.start is not None]
    if rates[0] > 0:
        yield Finding(
            "rate",
            f"On average over all steps of a phase, a step of {second.name} lowered the mel CE by {_small(rates[1])} "
            f"nats and a step of {first.name} by {_small(rates[0])}: {rates[1] / rates[0]:.2f} times as much.",
        )  # fmt: skip


def _small(value: float) -> str:
    return f"{value:.2g}" if abs(value) >= 1e-3 else f"{value:.5f}"


def _first_is_best(phase: PhaseCurves) -> Iterator[Finding]:
    step, _ = phase.best
    if len(phase.validation) > 1 and step <= phase.validation[0][0]:
        what = "the one that it started from" if step == 0 else f"that of its first evaluation, at step {step:g}"
        yield Finding(
            "first_is_best",
            f"The best model of {phase.name} is {what}; {len(phase.validation) - (step > 0)} later evaluations found "
            "no better one: what it learned afterwards did not help on the validation clips.",
            True,
        )


def _overfitting(phase: PhaseCurves) -> Iterator[Finding]:
    """Report a validation mel CE that rises after the best evaluation. It is overfitting if the training loss fell."""
    step, best = phase.best
    later = [value for at, value in phase.validation if at > step]
    if len(later) < 2 or not (np.polyfit(range(len(later)), later, 1)[0] > 0 and later[-1] > best * (1 + _RISE)):
        return
    before = [value for at, value in phase.train if at <= step][-_FEWEST:]
    after = [value for at, value in phase.train if at > step][-_FEWEST:]
    fell = bool(before and after) and np.mean(after) < np.mean(before)
    falling = f", while the training loss fell by {np.mean(before) - np.mean(after):.3f}: it overfits" if fell else ""
    yield Finding(
        "overfitting" if fell else "rising",
        f"From step {step:g} on, the validation mel CE of {phase.name} rises, from {best:.3f} to "
        f"{later[-1]:.3f}{falling}.",
        True,
    )


def _real(second: PhaseCurves, pair: Pair, clips: int) -> Iterator[Finding]:
    change = pair["mel_ce"]
    low, high = change["low"], change["high"]
    if change["excludes_zero"]:
        way = "lower" if change["difference"] < 0 else "higher"
        yield Finding(
            "differs",
            f"On the test clips, the mel CE after {second.name} is {way}: {change['difference']:+.3f}, and the 95 % "
            f"interval over {clips} clips, {low:+.3f} to {high:+.3f}, excludes zero.",
            change["difference"] > 0,
        )  # fmt: skip
        return
    yield Finding(
        "no_difference",
        f"On the test clips, the mel CE after {second.name} is not shown to differ: {change['difference']:+.3f}, and "
        f"the 95 % interval, {low:+.3f} to {high:+.3f}, does not exclude zero.",
        True,
    )  # fmt: skip
    half = (high - low) / 2
    if half < 1e6 * abs(change["difference"]):
        wanted = math.ceil(clips * (half / abs(change["difference"])) ** 2)
        yield Finding(
            "test_too_small",
            f"{clips} test clips can show a difference of more than about {half:.3f}; to show one of "
            f"{abs(change['difference']):.3f}, about {wanted} test clips are needed.",
            True,
        )  # fmt: skip


def _more_of_the_first(first: PhaseCurves, second: PhaseCurves, pair: Pair | None) -> Iterator[Finding]:
    """Compare what phase 2 reached with what phase 1 could have reached if it had trained on as many clips more.

    The worst case is that phase 1 gains nothing more. The best case is that its curve continues. Curves flatten, so the
    continued curve is a bound and not a forecast.
    """
    if first.clips_per_step is None or second.clips_per_step is None:
        return
    trend = _trend(first.validation)
    if trend is None:
        yield Finding(
            "more_unknown",
            f"{first.name.capitalize()} has {len(first.validation)} evaluations, too few to estimate what more "
            "steps would have reached.",
        )  # fmt: skip
        return
    slope, at_one = trend
    steps = first.steps + second.steps * second.clips_per_step / first.clips_per_step
    stood, bound = first.best[1], min(at_one + slope * math.log(steps), first.best[1])
    reached, spread = second.best[1], (pair["mel_ce"]["high"] - pair["mel_ce"]["low"]) / 2 if pair else 0.0
    if reached + spread < bound:
        yield Finding(
            "better_than_more",
            f"{second.name.capitalize()} reached {reached:.3f}; {first.name}, trained on as many more clips, would "
            f"have reached {bound:.3f} at best (its curve, continued in the logarithm of the steps).",
        )  # fmt: skip
        return
    yield Finding(
        "more_of_the_first",
        f"This run does not show whether {second.name} is better than a longer {first.name}. On as many more clips, "
        f"{first.name} would have reached between {stood:.3f} (its best so far) and {bound:.3f} (its curve, continued "
        f"in the logarithm of the steps). {second.name.capitalize()} reached {reached:.3f}, which is not clearly "
        f"lower. Train {first.name} alone for {steps:.0f} steps to find out.",
        True,
    )  # fmt: skip


def _trend(curve: Sequence[Point]) -> tuple[float, float] | None:
    """Fit the curve's last half: slope in the logarithm of the steps, and value at step 1. None for too few points."""
    points = [point for point in curve if point[0] > 0]
    points = points[-max(_FEWEST, len(points) // 2) :]
    if len(points) < _FEWEST:
        return None
    steps, values = np.array(points).T
    slope, at_one = np.polyfit(np.log(steps), values, 1)
    return float(slope), float(at_one)


def _target(phase: PhaseCurves) -> Iterator[Finding]:
    if phase.target is None:
        return
    step, best = phase.best
    if best <= phase.target:
        yield Finding("target_reached", f"The target, a mel CE of {phase.target:g}, is reached: {best:.3f}.")
        return
    missing = f"The target, a mel CE of {phase.target:g}, is missed by {best - phase.target:.3f}"
    trend = _trend(phase.validation)
    if trend is None:
        yield Finding("target_missed", f"{missing}; {len(phase.validation)} evaluations are too few for a trend.", True)
    elif trend[0] >= 0 or step <= phase.validation[0][0]:
        yield Finding(
            "target_out_of_reach",
            f"{missing}, and the mel CE of {phase.name} no longer falls: more steps will not reach it.",
            True,
        )
    else:
        factor = float(np.exp(min((phase.target - trend[1]) / trend[0], 700.0))) / phase.steps
        if factor <= _FAR:
            how = f"its curve, continued in the logarithm of the steps, reaches it at {factor:.1f} times its steps"
        else:
            how = f"its curve, continued in the logarithm of the steps, does not reach it within {_FAR} times its steps"
        yield Finding("target_missed" if factor <= _FAR else "target_out_of_reach", f"{missing}; {how}.", True)


def _disagreement(pair: Pair) -> Iterator[Finding]:
    """Report measures of the speech that got worse although the mel CE fell."""
    if pair["mel_ce"]["difference"] >= 0:
        return
    for figure in HEADLINES:
        change = pair.get(figure.name)
        if change and figure.gain(change["difference"]) < 0:
            certain = "" if change["excludes_zero"] else ", which could be chance"
            yield Finding(
                "heard_worse",
                f"While the mel CE fell, {figure.label} got worse, from {change['from']:.3f} to {change['to']:.3f} "
                f"({change['difference']:+.3f}, 95 % interval {change['low']:+.3f} to {change['high']:+.3f}){certain}.",
                bool(change["excludes_zero"]),
            )  # fmt: skip
