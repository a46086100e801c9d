"""The three models: the base that a run starts from, and the result of each phase."""

import sys
from typing import Annotated, Literal

from pydantic import Field

from voicetune.errors import UserError

MODELS = ("base", "phase1", "phase2")
ModelName = Annotated[Literal["base", "phase1", "phase2"], Field(examples=["phase2"])]


def model_named() -> str:
    """The model that the command line names, for a stage that handles one model: `base`, `phase1` or `phase2`.

    Raises:
        UserError: the command line names anything else.
    """
    if len(sys.argv) != 2 or sys.argv[1] not in MODELS:
        raise UserError(f"which model? `python {sys.argv[0]}` with one of {', '.join(MODELS)}.")
    return sys.argv[1]
