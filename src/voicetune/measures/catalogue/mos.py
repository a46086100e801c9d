"""Predicted MOS: how good listeners would probably find a take."""

from typing import TYPE_CHECKING

from voicetune.measures.measure import Figure, Mean, Measure, Row

if TYPE_CHECKING:
    from voicetune.measures.takes import Take

_LOWEST = 1.0  # lowest on the scale; for sounds without a prediction, so that silence is never an advantage


def _open(_material: object):
    from voicetune.measures.naturalness import MosPredictor

    predictor = MosPredictor()

    def measure(take: "Take", rate: int, _text: str) -> Row:
        found = predictor.predict(take.sound, rate) or (_LOWEST,) * 3
        return dict(zip(("mos", "mos_signal", "mos_background"), found, strict=True))

    return measure


MEASURE = Measure(
    place=30,
    open=_open,
    first_take_only=True,
    figures=(
        Figure(
            "mos", "predicted MOS", 2, "higher", "DNSMOS, overall, 1 to 5; no listener", Mean("mos"),
            metric=True, cost=0.2, selects=True, composite=lambda mos: (5 - mos) / 4, one="MOS {:.1f}", title="MOS",
        ),
        Figure("mos_signal", "of the speech", 2, "higher", "DNSMOS", Mean("mos_signal")),
        Figure("mos_background", "of the background", 2, "higher", "DNSMOS", Mean("mos_background")),
    ),
)  # fmt: skip
