"""The measures of takes, one file each. A file in this folder declares `MEASURE`; its name is the measure's name.

Whatever needs to know the measures or their figures reads the lists below.
"""

import importlib
import pkgutil
import traceback
from collections.abc import Collection

from voicetune.errors import UserError
from voicetune.measures.measure import Figure, Measure, Share


def _load(name: str) -> Measure:
    try:
        measure = getattr(importlib.import_module(f"{__name__}.{name}"), "MEASURE", None)
    except SyntaxError as error:
        raise UserError(f"{error.filename}, line {error.lineno} is no Python ({error.msg}); correct it.") from None
    except Exception as error:
        file = f"{__path__[0]}/{name}.py"
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        at = f", line {lines[-1]}" if lines else ""
        says = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{file}{at} fails ({says}); correct it.") from None
    if not isinstance(measure, Measure):
        raise UserError(
            f"src/voicetune/measures/catalogue/{name}.py has no `MEASURE = Measure(...)`; write it as docs/extending.md"
            " shows, or move the file out of this folder."
        )
    return measure


_FOUND = {one.name: _load(one.name) for one in pkgutil.iter_modules(__path__)}
MEASURES = dict(sorted(_FOUND.items(), key=lambda one: (one[1].place, one[0])))
"""The measures by name, in the order of the tables."""
NAMES = tuple(MEASURES)
COLUMNS = tuple(dict.fromkeys(column for measure in MEASURES.values() for column in measure.columns))
"""The columns that they add to takes.csv."""
DECLARED = tuple(figure for measure in MEASURES.values() for figure in measure.figures)
"""Their figures, as the report lists them."""


def _sums_up(figure: Figure) -> bool:
    return isinstance(figure.of, Share) and len(figure.of.bad) > 1


FIGURES = tuple(sorted(DECLARED, key=_sums_up))
"""Their figures, as files list them: a share that sums up other shares comes last."""
AVERAGED = tuple(figure for figure in FIGURES if not isinstance(figure.of, Share))
"""The figures that are compared in pairs: all but the shares."""
HEADLINES = tuple(figure for figure in FIGURES if figure.cost is not None)
"""The few figures that the verdict, the findings, the summary and the terminal name."""
METRICS = tuple(figure.name for figure in FIGURES if figure.metric)
"""The names of the figures in `dvc metrics` and in heard.csv."""


def reads(measures: Collection[str]) -> bool:
    """Whether any of these measures needs the recogniser."""
    return any(MEASURES[name].reads for name in measures)
