"""Reads the figures that stages write as JSON, and checks the shape of each file. Imports no torch."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, create_model, model_validator

from voicetune import files
from voicetune.errors import UserError
from voicetune.measures.table import AVERAGED, SHARES
from voicetune.params.models import ModelName
from voicetune.shapes import Count, Flat, Number, Record, parsed, told

FACTS = "facts.json"
FIGURES = ("mel_ce", "text_ce", "mel_ce_stock", "top1", "top10", *AVERAGED, *SHARES, "mishaps")
"""The figures of a row of metrics/compare/figures.json. A figure with an interval also has `_low` and `_high`."""


class CeilingFacts(Flat):
    """metrics/evaluate/<recordings or codec>/facts.json."""

    vocoder: str = ""
    secs_floor: Number = 0.0


class ModelFacts(Flat):
    """metrics/evaluate/<model>/facts.json."""

    model_sha256: str
    data_sha256: str


class Points(Flat):
    """metrics/evaluate/<model>.json: always the losses, and the other figures if they were measured."""

    mel_ce: Number
    text_ce: Number
    mel_ce_stock: Number
    cer: Number = 0.0
    wer: Number = 0.0
    secs: Number = 0.0
    mos: Number = 0.0
    mishaps: Number = 0.0


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


class Figures(Record):
    """metrics/compare/figures.json."""

    recordings: _Ceiling
    codec: _Ceiling
    base: _Model
    phase1: _Model
    phase2: _Model


class _Change(Record):
    before: Number = Field(alias="from")
    to: Number
    difference: Number
    relative: Number | None
    low: Number
    high: Number
    excludes_zero: bool


_MEASURED: dict[str, Any] = dict.fromkeys(AVERAGED, (_Change, None))


class _Losses(Record):
    mel_ce: _Change
    text_ce: _Change = Field(default=None)  # type: ignore[assignment]


_Pair = create_model("_Pair", __base__=_Losses, **_MEASURED)


class Changes(Record):
    """metrics/compare/changes.json."""

    base_phase1: _Pair  # type: ignore[valid-type]
    phase1_phase2: _Pair  # type: ignore[valid-type]
    base_phase2: _Pair  # type: ignore[valid-type]


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


_ROW = "(base|phase1|phase2|recordings)"


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


AnyFigures = dict[str, Any]


def read(path: Path, shape: type[Any], again: str) -> dict[str, Any]:
    """Read figures that a stage wrote.

    Args:
        shape: the class or type to check them against.
        again: the remedy for the error message, without a full stop.

    Raises:
        UserError: the file is missing or damaged, lacks a key, or has a value of the wrong kind.
    """
    text = files.read_text(path, "run `dvc repro`")
    try:
        return parsed(text, shape)
    except ValidationError as error:
        raise UserError(f"{path} {told(error)}; {again}.") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not valid JSON; {again}.") from None
