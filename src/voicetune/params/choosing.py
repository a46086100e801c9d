"""The parameters for choosing a phase's best model by ear, that is, by measures of its speech."""

from pydantic import ConfigDict, Field

from voicetune.params.decoding import Asr, Decoding
from voicetune.params.reading import Section
from voicetune.params.training import Select


class Choose(Section):
    sentences: int = Field(ge=1, le=1000, examples=[6], description="validation sentences spoken at each evaluation")


class _Selected(Section):
    """The one key of a phase's section that decides how its best model is chosen."""

    model_config = ConfigDict(extra="ignore")
    select: Select = Field(examples=["mel_ce"])


class ChooseStage(Section):
    """What stage choose reads."""

    decoding: Decoding
    asr: Asr
    choose: Choose
    train_phase1: _Selected
    train_phase2: _Selected


class Choice(Section):
    """data/choice/<phase>.json: how a phase's best model is chosen.

    If `select` is mel_ce, all other fields are None, so that a change of the speaking does not retrain the phase.

    asr: None if no measure that decides needs the recogniser. code: SHA-256 of the code that speaks and measures.
    """

    select: Select
    sentences: int | None
    asr: str | None
    decoding: Decoding | None
    code: str | None
