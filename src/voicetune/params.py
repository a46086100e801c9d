"""params.yaml, typed and checked. Nothing else in the library reads a parameter file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voicetune.errors import UserError

# The languages XTTS v2 speaks, with its limit of characters a sentence
# (TTS.tts.layers.xtts.tokenizer.VoiceBpeTokenizer.char_limits; a test compares the two).
CHARACTER_LIMITS = {
    "en": 250, "de": 253, "fr": 273, "es": 239, "it": 213, "pt": 203, "pl": 224, "zh": 82, "ar": 166,
    "cs": 186, "ru": 182, "nl": 251, "tr": 226, "ja": 71, "hu": 224, "ko": 95, "hi": 150,
}  # fmt: skip
SPEEDS = (0.5, 2.0)
MODELS = ("base", "phase1", "phase2")

Language = Literal[
    "en", "de", "fr", "es", "it", "pt", "pl", "zh", "ar", "cs", "ru", "nl", "tr", "ja", "hu", "ko", "hi"
]  # fmt: skip
ModelName = Literal["base", "phase1", "phase2"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
LearningRate = Annotated[float, Field(gt=0, le=0.1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Source(_Section):
    """One set of recordings, or of sentences for espeak-ng to speak."""

    name: Name
    reader: Literal["ljspeech", "espeak"]
    path: str = Field(min_length=1, description="a folder of recordings, or a script of id|text lines")
    speaker: Name
    language: Language
    voice: str | None = Field(None, description="espeak only: the voice's name")
    rate: int = Field(175, ge=80, le=450, description="espeak only: words a minute")
    pitch: int = Field(50, ge=0, le=99, description="espeak only: base pitch")

    @model_validator(mode="after")
    def _voice_for_espeak(self):
        if (self.reader == "espeak") != (self.voice is not None):
            raise ValueError("'voice' is given if, and only if, reader is espeak")
        return self


class Prepare(_Section):
    sources: list[Source] = Field(min_length=1)
    held_out: float = Field(gt=0, lt=0.5, description="share of the clips kept for measuring")
    min_seconds: float = Field(0.5, gt=0)
    max_seconds: float = Field(11.6, gt=0, le=27)
    trim_db: float = Field(45.0, gt=0, le=120)
    loudness: float = Field(-23.0, ge=-70, le=-5)
    peak: float = Field(0.95, gt=0, le=1)
    jobs: int = Field(0, ge=0, description="processes; 0 is one a core")

    @model_validator(mode="after")
    def _names_differ(self):
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("two sources have the same name")
        if self.min_seconds >= self.max_seconds:
            raise ValueError("min_seconds must be below max_seconds")
        return self


class Encode(_Section):
    unknown_characters: Literal["fail", "leave_out"] = "fail"


class Decoding(_Section):
    temperature: float = Field(0.65, ge=0, le=2, description="0 is greedy")
    top_k: int = Field(50, ge=0)
    top_p: float = Field(0.8, gt=0, le=1)
    repetition_penalty: float = Field(2.0, ge=1, le=20)


Select = Literal["mel_ce", "cer", "mos", "composite"]
Measure = Literal["intelligibility", "similarity", "mos", "prosody", "robustness", "speed"]


class Phase(_Section):
    """One phase of training. `lr` of phase 2 comes from the top of the file."""

    lr: LearningRate
    epochs: int = Field(ge=1, le=100_000)
    max_steps: int | None = Field(None, ge=1)
    batch_size: int = Field(ge=1, le=4096)
    accumulate: int = Field(1, ge=1, le=4096)
    warmup_steps: int = Field(0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: float = Field(0.01, ge=0, le=1)
    clip_norm: float = Field(1.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    text_weight: float = Field(0.01, ge=0)
    reference: Literal["other", "self", "stock"] = "other"
    reference_seconds: tuple[float, float] = (3.0, 6.0)
    shared_reference: bool = False
    text_stop_visible: bool = True
    stop_targets: Literal[1, 4] = 1
    lora_rank: int | None = Field(None, ge=1, le=512, description="train adapters of so low a rank, and nothing else")
    lora_alpha: float = Field(16.0, gt=0, description="the adapters' gain is lora_alpha / lora_rank")
    activation_checkpointing: bool = False
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    eval_every: int = Field(ge=1)
    log_every: int = Field(10, ge=1)
    target_mel_ce: float | None = Field(None, gt=0)
    patience: int | None = Field(None, ge=1, description="evaluations without a better one")
    select: Select = "mel_ce"
    select_sentences: int = Field(6, ge=1, le=1000, description="spoken at each evaluation, unless select is mel_ce")
    select_asr: str = "tiny.en"
    select_decoding: Decoding = Field(default_factory=Decoding)

    @model_validator(mode="after")
    def _reference_makes_sense(self):
        low, high = self.reference_seconds
        if not 0.4 <= low <= high <= 30:
            raise ValueError("reference_seconds must be [shortest, longest] with 0.4 <= shortest <= longest <= 30")
        if self.shared_reference and self.reference != "other":
            raise ValueError("shared_reference needs reference: other")
        return self


class Evaluate(_Section):
    sentences: int = Field(12, ge=0, le=1000)
    takes: int = Field(3, ge=1, le=100, description="of each sentence, each drawn anew")
    measures: list[Measure] = Field(default_factory=lambda: list(get_args(Measure)))
    asr: str = "tiny.en"
    bootstrap: int = Field(2000, ge=100)
    reference_seconds: float = Field(3.0, ge=0.4, le=30)
    decoding: Decoding = Field(default_factory=Decoding)


class Synthesize(_Section):
    lines: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    language: Language
    speed: float = Field(1.0, ge=SPEEDS[0], le=SPEEDS[1])
    loudness: float = Field(-23.0, ge=-70, le=-5, description="LUFS")
    format: Literal["wav", "flac", "mp3", "ogg"] = "wav"
    decoding: Decoding = Field(default_factory=Decoding)


class Params(_Section):
    seed: int = Field(ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = Field(1, ge=1, le=64, description="of one node; on a CPU, processes")
    num_nodes: int = Field(1, ge=1, le=64)
    strategy: Literal["ddp", "fsdp"] = "ddp"
    max_restarts: int = Field(3, ge=0, le=100)
    base: str = Field(min_length=1)
    lr: LearningRate
    publish: ModelName
    prepare: Prepare
    encode: Encode
    train_phase1: Phase
    train_phase2: Phase
    evaluate: Evaluate
    synthesize: Synthesize

    @model_validator(mode="after")
    def _what_speaks_is_whole(self):
        for name in ("train_phase1", "train_phase2"):
            if self.strategy == "fsdp" and getattr(self, name).select != "mel_ce":
                raise ValueError(f"{name}.select must be mel_ce with strategy fsdp, where no device has a whole model")
        return self


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: 1e-06 is a number here, as DVC writes it, and not a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        UserError: the file is missing, no YAML, or no mapping.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run this in the repository's folder.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        at = f", line {where.line + 1}" if where else ""
        raise UserError(f"{path}{at} is not valid YAML; correct it there.") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} holds no keys; restore it from presets/.")
    return data


def check(model: type[_Section], data: Mapping[str, Any], path: Path | str) -> Any:
    """Validate `data` as `model`; the first fault becomes one sentence.

    Raises:
        UserError: names the key, what was given and what is allowed.
    """
    try:
        return model.model_validate(data, strict=False)
    except ValidationError as error:
        raise UserError(_sentence(error, path, model)) from None


def _sentence(error: ValidationError, path: Path | str, model: type[BaseModel]) -> str:
    fault = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in fault["loc"]) or "the file"
    given = repr(fault["input"])
    given = given if len(given) < 60 else given[:57] + "..."
    if fault["type"] == "extra_forbidden":
        return f"{path}: there is no key '{key}'; allowed here are {', '.join(_siblings(model, fault['loc']))}."
    if fault["type"] == "missing":
        return f"{path}: the key '{key}' is required and missing."
    rule = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{path}: '{key}' is {given}, but should be: {rule}."


def _siblings(model: type[BaseModel], location: tuple) -> list[str]:
    """The keys allowed where an unknown one was found."""
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        annotation: Any = model.model_fields[part].annotation
        inner = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = inner[0] if inner else annotation
    return sorted(model.model_fields)


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml. Phase 2's `lr` is the one at the top.

    Raises:
        UserError: see `read_yaml` and `check`.
    """
    data = read_yaml(path)
    second = data.get("train_phase2")
    if isinstance(second, dict):
        if "lr" in second:
            raise UserError(f"{path}: 'train_phase2.lr' is not used; phase 2's learning rate is 'lr' at the top.")
        data = {**data, "train_phase2": {**second, "lr": data.get("lr")}}
    return check(Params, data, path)
