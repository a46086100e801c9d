"""All of params.yaml: for the check before a run, the report and the command line."""

from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, model_validator

from voicetune.params.choosing import Choose
from voicetune.params.data import Prepare
from voicetune.params.decoding import Asr, Decoding
from voicetune.params.encoding import Encode
from voicetune.params.measuring import Compare, Evaluate
from voicetune.params.models import ModelName
from voicetune.params.quality import Quality
from voicetune.params.reading import PATH, LearningRate, Seed, check, read_yaml
from voicetune.params.shared import ConditioningSeconds, Device
from voicetune.params.speaking import Speak, Synthesize
from voicetune.params.training import PHASES, Phase, check_select, with_lr
from voicetune.params.transcribing import Transcribe
from voicetune.params.unlisted import Unlisted


class Params(Unlisted):
    """Every key of params.yaml."""

    seed: Seed
    device: Device
    devices: int = Field(ge=1, le=64, examples=[1])
    num_nodes: int = Field(ge=1, le=64, examples=[1])
    strategy: Literal["ddp", "fsdp"] = Field(examples=["ddp"])
    base: str = Field(min_length=1, examples=["tiny"])
    lr: LearningRate = Field(examples=["1.0e-6"])
    publish: ModelName
    decoding: Decoding
    asr: Asr
    conditioning_seconds: ConditioningSeconds
    transcribe: Transcribe
    prepare: Prepare
    quality: Quality  # type: ignore[valid-type]
    encode: Encode
    choose: Choose
    train_phase1: Phase
    train_phase2: Phase
    speak: Speak
    evaluate: Evaluate
    compare: Compare
    synthesize: Synthesize

    @model_validator(mode="after")
    def _dvc_sees_the_sources(self):
        for source in self.prepare.sources:
            parts = PurePosixPath(source.path).parts
            if parts[:2] not in (("data", "raw"), ("data", "scripts")) or len(parts) < 3 or ".." in parts:
                raise ValueError(
                    f"prepare.sources: '{source.name}' has the path '{source.path}', whose changes DVC would not see;"
                    " put recordings into data/raw/<name>, and lists of sentences into data/scripts"
                )
        return self

    @model_validator(mode="after")
    def _phases_fit(self):
        for name in PHASES:
            check_select(self.strategy, getattr(self, name).select)
        first, second = self.train_phase1.target_mel_ce, self.train_phase2.target_mel_ce
        if first is not None and second is not None and first <= second:
            raise ValueError(
                f"train_phase1.target_mel_ce ({first:g}) must be above train_phase2.target_mel_ce ({second:g}), or"
                " phase 2 is at its target before its first step; give a target to one phase, and null to the other"
            )
        return self


def load(path: Path = PATH) -> Params:
    """Read and check all of params.yaml. Phase 2 takes the `lr` at the top.

    Raises:
        UserError: see `reading.read_yaml` and `reading.check`.
    """
    return check_all(read_yaml(path), path)


def find(params: Any, key: str) -> Any:
    """A value of params.yaml by its key with those above it, such as `prepare.sources`; None if there is none."""
    for name in key.split("."):
        params = params.get(name) if isinstance(params, dict) else None
    return params


def check_all(data: dict[str, Any], path: Path | str) -> Params:
    """Check the content of params.yaml.

    Raises:
        UserError: see `reading.check`.
    """
    sections = {name: with_lr(name, data, Path(path)) for name in PHASES if name in data}
    return check(Params, {**data, **sections}, path)
