"""The parameters of the stages train_phase1 and train_phase2."""

import difflib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from voicetune.errors import UserError
from voicetune.measures import choosing  # no dep: the names that `select` may have change no training
from voicetune.params.reading import PATH, LearningRate, Section, Seed, check, read_yaml
from voicetune.params.shared import TINY, ConditioningSeconds, Device

PHASES = ("train_phase1", "train_phase2")
Select = Literal[choosing.SELECTS]  # type: ignore[valid-type]
_MOST_STEPS = 1_000_000_000  # more than any training makes, and few enough to be a float


class Phase(Section):
    """One phase of training. Phase 2 takes its `lr` from the top of the file."""

    lr: LearningRate = Field(examples=["1.5e-6"])
    epochs: int = Field(ge=1, le=100_000, examples=[2])
    max_steps: int | None = Field(ge=1, le=_MOST_STEPS, description="ends the phase earlier than its epochs")
    batch_size: int = Field(ge=1, le=4096, examples=[12])
    accumulate: int = Field(ge=1, le=4096, examples=[1])
    warmup_steps: int = Field(ge=0, le=_MOST_STEPS, examples=[20])
    schedule: Literal["constant", "cosine"] = Field(examples=["cosine"])
    weight_decay: float = Field(ge=0, le=1, examples=[0.01])
    clip_norm: float = Field(gt=0, examples=[1.0])
    dropout: float = Field(ge=0, lt=1, examples=[0.0])
    text_weight: float = Field(ge=0, examples=[0.01])
    reference: Literal["other", "self", "stock"] = Field(examples=["other"])
    reference_seconds: tuple[float, float] = Field(examples=["[3.0, 6.0]"])
    shared_reference: bool = Field(examples=[False])
    text_stop_visible: bool = Field(examples=[True])
    stop_targets: Literal[1, 4] = Field(examples=[1])
    lora_rank: int | None = Field(ge=1, le=512, description="the rank of LoRA's adapters; only they are trained")
    lora_alpha: float = Field(gt=0, examples=[16.0], description="the adapters' gain is lora_alpha / lora_rank")
    activation_checkpointing: bool = Field(examples=[False])
    optimizer: Literal["adamw", "adamw8bit"] = Field(examples=["adamw"])
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field(examples=["32-true"])
    eval_every: int = Field(ge=1, le=_MOST_STEPS, examples=[24])
    log_every: int = Field(ge=1, le=_MOST_STEPS, examples=[10])
    target_mel_ce: float | None = Field(gt=0)
    patience: int | None = Field(
        ge=1, le=_MOST_STEPS, description="evaluations without a better one before the phase ends"
    )
    select: Select = Field(examples=["mel_ce"])

    @model_validator(mode="after")
    def _reference_makes_sense(self):
        low, high = self.reference_seconds
        if not 0.4 <= low <= high <= 30:
            raise ValueError("reference_seconds must be [shortest, longest] with 0.4 <= shortest <= longest <= 30")
        if self.shared_reference and self.reference != "other":
            raise ValueError("shared_reference needs reference: other")
        return self


class TrainStage(Section):
    """What a phase's stage reads. `phase` is the section with the name of the stage."""

    seed: Seed
    device: Device
    devices: int = Field(ge=1, le=64, examples=[1], description="of one node; on a CPU, processes")
    num_nodes: int = Field(ge=1, le=64, examples=[1])
    strategy: Literal["ddp", "fsdp"] = Field(examples=["ddp"])
    conditioning_seconds: ConditioningSeconds
    phase: Phase

    @model_validator(mode="after")
    def _what_speaks_is_whole(self):
        check_select(self.strategy, self.phase.select)
        return self


def check_select(strategy: str, select: str) -> None:
    """Raise ValueError if a phase chooses by ear with fsdp, where no device has a whole model to speak with."""
    if strategy == "fsdp" and select != "mel_ce":
        raise ValueError("select must be mel_ce with strategy fsdp, where no device has a whole model")


def load(name: str, path: Path = PATH) -> TrainStage:
    """Read what a phase's stage uses.

    Raises:
        UserError: see `reading.read_yaml` and `reading.check`.
    """
    return of(name, read_yaml(path), path)


def of(name: str, data: dict[str, Any], path: Path) -> TrainStage:
    """Take the settings of a phase's stage from the data of a whole file."""
    shared = {key: value for key, value in data.items() if key in TrainStage.model_fields}
    phase = check(Phase, with_lr(name, data, path), path, name)
    return check(TrainStage, {**shared, "phase": phase}, path)


def with_lr(name: str, data: dict[str, Any], path: Path) -> dict[str, Any]:
    """A phase's section. For phase 2, add the `lr` from the top of the file."""
    section = data.get(name)
    if not isinstance(section, dict):
        raise UserError(f"{path}: the section '{name}' is missing; take it from presets/xtts_v2.yaml.")
    if name != "train_phase2":
        return section
    if "lr" in section:
        raise UserError(f"{path}: 'train_phase2.lr' is not used; phase 2's learning rate is 'lr' at the top.")
    if "lr" not in data:
        if typo := difflib.get_close_matches("lr", [key for key in data if isinstance(key, str)], n=1):
            raise UserError(f"{path}: there is no key '{typo[0]}'; write it `lr`.")
        fits = "2.0e-4" if data.get("base") == TINY else "1.0e-6"
        raise UserError(f"{path}: the key 'lr' is missing; add the line `lr: {fits}` at the top.")
    return {**section, "lr": data["lr"]}
