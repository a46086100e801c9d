"""The parameters of stage quality: the limits of each check."""

from typing import Annotated, Any

from pydantic import Field, create_model, model_validator

from voicetune.params.decoding import Asr
from voicetune.params.reading import Section
from voicetune.params.shared import Device
from voicetune.quality.catalogue import CHECKS

Limit = Annotated[float, Field(ge=-1e6, le=1e6)]


class Limits(Section):
    """A clip whose figure is worse than `leave_out` is left out; if it is worse than `warn`, the page shows it."""

    leave_out: Limit | None
    warn: Limit | None


def _in_order(section: "Quality") -> "Quality":
    for check in CHECKS:
        limits = section.limits(check.name)
        if limits.leave_out is None or limits.warn is None:
            continue
        if (limits.leave_out > limits.warn) != (check.better == "lower") and limits.leave_out != limits.warn:
            raise ValueError(
                f"quality.{check.name} leaves out at {limits.leave_out:g} and warns at {limits.warn:g};"
                f" {check.better} is better, so give warn the milder value"
            )
    return section


class _Quality(Section):
    asr: Asr | None = Field(description="reads each clip; none: texts are not compared with what is said")

    def limits(self, check: str) -> Limits:
        """The limits of a check, given by its name."""
        return getattr(self, check)

    _check = model_validator(mode="after")(_in_order)


_LIMITS: dict[str, Any] = {check.name: (Limits, ...) for check in CHECKS}
Quality = create_model("Quality", __base__=_Quality, **_LIMITS)


class QualityStage(Section):
    """What stage quality reads."""

    device: Device
    quality: Quality  # type: ignore[valid-type]
