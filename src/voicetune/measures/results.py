"""The shapes of the figures that stages write as JSON, and how people see one. Imports no torch.

`shapes.read_json` reads and checks them.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, create_model, model_validator

from voicetune.measures import catalogue, clip_table
from voicetune.measures.compared import PAIRS, RATED, ROWS
from voicetune.params.models import MODELS, ModelName
from voicetune.shapes import Count, Flat, Number, Record

FACTS = "facts.json"
FIGURES = tuple(figure.name for figure in (*clip_table.FIGURES, *catalogue.FIGURES))
"""The figures of a row of metrics/compare/figures.json. A figure with an interval also has `_low` and `_high`."""


def format_figure(row: Mapping[str, Any], name: str, digits: int = 3, interval: bool = True) -> str:
    """A figure of a row of figures.json, with its 95 % interval if it has one: `0.311 [0.231, 0.399]`.

    Empty if the row lacks it.
    """
    if name not in row:
        return ""
    value = f"{row[name]:.{digits}f}"
    if not interval or f"{name}_low" not in row:
        return value
    return f"{value} [{row[f'{name}_low']:.{digits}f}, {row[f'{name}_high']:.{digits}f}]"


class CeilingFacts(Flat):
    """metrics/evaluate/<recordings or codec>/facts.json."""

    vocoder: str = ""
    voiced_by_base: bool = False
    secs_floor: Number = 0.0


class ModelFacts(Flat):
    """metrics/evaluate/<model>/facts.json."""

    model_sha256: str
    data_sha256: str


_POINTS: dict[str, Any] = {figure.name: (Number, ...) for figure in clip_table.FIGURES if figure.metric}
_POINTS |= dict.fromkeys(catalogue.METRICS, (Number, 0.0))
Points = create_model("Points", __base__=Flat, **_POINTS)
"""metrics/evaluate/<model>.json: always the losses, and the other figures if they were measured."""


class _Bounded(Flat):
    clips: Count = 0
    sentences: Count = 0
    takes: Count = 0

    @model_validator(mode="after")
    def _intervals_are_whole(self):
        for name in FIGURES:
            ends = {f"{name}_low", f"{name}_high"} & self.model_fields_set
            if ends and not {name, f"{name}_low", f"{name}_high"} <= self.model_fields_set:
                raise ValueError(f"should have '{name}', '{name}_low' and '{name}_high' together")
        return self


_NUMBERS: dict[str, Any] = {f"{name}{end}": (Number, 0.0) for name in FIGURES for end in ("", "_low", "_high")}
_Row = create_model("_Row", __base__=_Bounded, **_NUMBERS)


class _Ceiling(_Row, CeilingFacts):  # type: ignore[misc, valid-type]
    pass


class _Model(_Row, ModelFacts):  # type: ignore[misc, valid-type]
    pass


_ROWS: dict[str, Any] = {row: (_Model if row in MODELS else _Ceiling, ...) for row in ROWS}
Figures = create_model("Figures", __base__=Record, **_ROWS)
"""metrics/compare/figures.json."""


class _Change(Record):
    before: Number = Field(alias="from")
    to: Number
    difference: Number
    relative: Number | None
    low: Number
    high: Number
    excludes_zero: bool


_MEASURED: dict[str, Any] = {figure.name: (_Change, None) for figure in catalogue.AVERAGED}


class _Losses(Record):
    mel_ce: _Change
    text_ce: _Change = Field(default=None)  # type: ignore[assignment]


_Pair = create_model("_Pair", __base__=_Losses, **_MEASURED)


_PAIRS: dict[str, Any] = {f"{first}_{second}": (_Pair, ...) for first, second in PAIRS}
Changes = create_model("Changes", __base__=Record, **_PAIRS)
"""metrics/compare/changes.json."""


class _Language(Record):
    figures: dict[str, dict[str, Number]]
    changes: dict[str, dict[str, _Change]]


Languages = dict[str, _Language]
"""metrics/compare/languages.json: the figures and the paired differences of each language; empty if there is one."""


class _Clips(Record):
    clips: Count


class _Source(_Clips):
    minutes: Number
    train: _Clips
    validation: _Clips
    test: _Clips


class Prepared(Record):
    """metrics/prepare.json."""

    clips: Count
    minutes: Number
    sources: dict[str, _Source]


_ROW = f"({'|'.join(RATED)})"


class _Preference(Record):
    preferred: Number
    low: Number
    high: Number
    votes: Count
    ties: Count


class _Opinion(Record):
    mean: Number
    low: Number
    high: Number
    ratings: Count


class Listening(Record):
    """metrics/listening.json."""

    raters: Count
    pairs: dict[Annotated[str, Field(pattern=f"^{_ROW}_{_ROW}$")], _Preference]
    mos: dict[Annotated[str, Field(pattern=f"^{_ROW}$")], _Opinion]
    agreement: Number | None


class Published(Record):
    """metrics/voice.json."""

    model: ModelName


class _Trained(Record):
    steps: Count = 0
    steps_before: Count = 0
    clip_seconds: Number = 0.0


class Facts(Record):
    """The part of a model folder's voicetune.json that says how it was trained."""

    facts: _Trained = _Trained()
