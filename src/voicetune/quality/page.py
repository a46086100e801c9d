"""Builds the page data/quality.html, on which a person listens to the clips and decides about them.

The page is one file. It plays the clips beside it (clips/<file>), and it keeps decisions in the browser until they are
saved as decisions.csv.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voicetune import files, pages
from voicetune.data import decisions as table
from voicetune.data.decisions import Decision
from voicetune.data.left_out import LeftOut
from voicetune.quality.judged import Check, Judged, Reason

_TEMPLATES = Path(__file__).with_name("templates")


def write(
    path: Path,
    judged: Sequence[Judged],
    checks: Sequence[Check],
    summary: Sequence[str],
    left_out: Sequence[LeftOut],
    decisions: dict[str, Decision],
) -> None:
    """Write the page. The same arguments give the same bytes.

    Args:
        path: where to write it, beside the folder `clips`.
        judged: the clips that stage prepare made.
        summary: sentences for the top of the page.
        left_out: what stage prepare left out.
        decisions: those of data/decisions.csv, by the clips' ids.

    Raises:
        UserError: it cannot be written, or its folder is a link.
    """
    data = {
        "checks": [asdict(one) for one in checks],
        "clips": [_clip(one, checks) for one in sorted(judged, key=_badness, reverse=True)],
        "left_out": [asdict(one) for one in left_out],
        "decisions": [asdict(one) for one in decisions.values()],
        "columns": table.COLUMNS,
    }
    html = pages.render(_TEMPLATES, "quality", data=data, checks=checks, summary=summary, table=table.PATH.as_posix())
    files.check_own(path.parent)
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.put(path, html.encode())


def _badness(one: Judged) -> tuple[bool, int, int]:
    """The larger, the worse: what is left out first, then what has most reasons and warnings."""
    return not one.kept, len(one.reasons), len(one.warnings)


def _clip(one: Judged, checks: Sequence[Check]) -> dict[str, Any]:
    return {
        **asdict(one.clip),
        "out": not one.kept,
        "heard": one.heard,
        "figures": [_figure(one.figures.get(check.name), check.digits) for check in checks],
        "reasons": [_reason(reason, checks) for reason in one.reasons],
        "warnings": [_reason(warning, checks) for warning in one.warnings],
    }


def _figure(value: float | None, digits: int) -> float | None:
    """A figure as it is shown; None, for which there is JSON, if it is not finite."""
    return None if value is None or not math.isfinite(value) else round(value, digits) + 0.0  # makes -0.0 to 0.0


def _reason(reason: Reason, checks: Sequence[Check]) -> dict[str, Any]:
    """A reason, and the number of its check."""
    return {"check": checks.index(reason.check), "says": reason.says}
