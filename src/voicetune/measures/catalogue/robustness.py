"""Robustness: faults of single takes, each a yes or no."""

from typing import TYPE_CHECKING

from voicetune.measures.measure import Figure, Measure, Row, Share

if TYPE_CHECKING:
    from voicetune.measures.takes import Take


def _open(_material: object):
    from voicetune.speech import faults

    def measure(take: "Take", rate: int, text: str) -> Row:
        clip, sound = take.clip, take.sound
        return {
            "stopped": None if take.stopped is None else int(take.stopped),
            "skipped": int(faults.skipped(clip.text, text, clip.language)),
            "repeated": int(faults.repeated(clip.text, text, clip.language)),
            "long_silence": int(faults.long_silence(faults.find_loud(sound, rate))),
            "clipped": int(faults.clipped(sound)),
        }

    return measure


_FAULTS = {"stopped": 0, "skipped": 1, "repeated": 1, "long_silence": 1, "clipped": 1}

MEASURE = Measure(
    place=50,
    open=_open,
    reads=True,
    figures=(
        Figure(
            "mishaps", "mishaps", 3, "lower", "share of takes with any of the following", Share(_FAULTS), metric=True
        ),
        Figure(
            "runaways", "runaways", 3, "lower", "share of takes that never stopped", Share({"stopped": 0}),
            one="never stopped",
        ),
        Figure("skips", "skips", 3, "lower", "share of takes with words left out", Share({"skipped": 1}), one="skips"),
        Figure(
            "repeats", "repeats", 3, "lower", "share of takes with words said twice", Share({"repeated": 1}),
            one="repeats",
        ),
        Figure(
            "long_silences", "silences", 3, "lower", "share of takes with one above 1 s", Share({"long_silence": 1}),
            one="long silence",
        ),
        Figure(
            "clipped", "clipped", 3, "lower", "share of takes with flattened peaks", Share({"clipped": 1}),
            one="clipped",
        ),
    ),
)  # fmt: skip
