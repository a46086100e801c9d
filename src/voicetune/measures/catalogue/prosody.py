"""Prosody: pitch, voicing, spectrum and duration of a take beside the recording of its sentence."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from voicetune.measures.measure import Figure, Mean, Measure, Row

if TYPE_CHECKING:
    from voicetune.measures.material import Material
    from voicetune.measures.takes import Take


def _open(material: "Material"):
    from voicetune.measures import prosody

    def measure(take: "Take", rate: int, _text: str) -> Row:
        if take.stopped is None:
            return {}  # it is the recording itself
        return asdict(prosody.compare(*material.data.sound(take.clip), take.sound, rate))

    return measure


MEASURE = Measure(
    place=40,
    open=_open,
    first_take_only=True,
    figures=(
        Figure(
            "f0_rmse_cents", "pitch", 0, "lower", "RMSE in cents beside the recording, where both are voiced",
            Mean("f0_rmse_cents"),
        ),
        Figure(
            "voicing_error", "voicing error", 3, "lower", "share of frames voiced in one of the two only",
            Mean("voicing_error"),
        ),
        Figure("mcd_db", "MCD", 2, "lower", "mel-cepstral distortion in dB", Mean("mcd_db")),
        Figure(
            "duration_ratio", "duration", 2, "", "over the recording's", Mean("duration_ratio"), one="duration {:.2f}"
        ),
    ),
)  # fmt: skip
