"""What voicetune needs of a model. `families.TABLE` names the packages that have it; `voicetune.xtts` is one.

A model turns text into audio codes, and audio codes into sound, in a voice that it takes from recordings. Its package
has one module for each part, so that a stage of the pipeline depends only on the parts that it uses:

| module | class here | what it does |
| --- | --- | --- |
| `limits` | Limits | says how long a text may be; imports no torch |
| `layout` | Layout | names the files of a model folder; imports no torch |
| `folder` | Folder | reads what a model folder says about itself |
| `origins` | Origins | makes the folder of a base |
| `encoding` | Encoding | turns clips into tokens and codes |
| `training` | Training | opens a model to train and to measure it; writes the folder of a trained one |
| `speaking` | Speaking | opens a model to speak with it |
| `export` | Export | copies a folder to give it away |
| `hub` | Hub | says what was downloaded, and where it lies |

A model folder holds config.json, whose `model` names the family, and the family's own files. voicetune.json holds what
voicetune knows of it: `vocoder`, `licence`, a phase's `facts`, and after publishing `language` and `decoding`.
Recordings are mono float32 at 22,050 Hz (`data.audio.SAMPLE_RATE`). Cross entropies are in nats per token.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from re import Pattern
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from voicetune.data.clip import Clip
from voicetune.data.codes import Codes, Encoded
from voicetune.data.dataset import Dataset
from voicetune.params.decoding import Decoding

REFERENCE_SECONDS = 30
"""A voice is taken from at most so many seconds of recordings."""

Speaker = dict[str, Tensor]
"""What a model keeps of a voice. Only the model reads it."""


@dataclass(frozen=True)
class Recipe:
    """How clips become training rows.

    reference: where the conditioning comes from. `other`: another clip of the speaker. `self`: a slice of the clip
        itself, whose codes are then not targets. `stock`: such a slice with the stock trainer's mask, including its
        faults (`TTS.tts.layers.xtts.gpt`: it masks only the last clip of a batch, in the wrong unit).
    reference_seconds: shortest and longest reference. A slice of another clip is cut from one that is long enough, or
        from several clips joined if the speaker has too few of these. A slice of the clip itself is at most half of
        it.
    shared_reference: one reference per speaker and micro-batch instead of one per clip (`other` only).
    text_stop_visible: whether audio attends to the text's STOP, as it does when speaking. The stock trainer hides it.
    stop_targets: how many STOPs close the codes: 1, or the stock trainer's 4.
    """

    reference: str = "other"
    reference_seconds: tuple[float, float] = (3.0, 6.0)
    shared_reference: bool = False
    text_stop_visible: bool = True
    stop_targets: int = 1


def measured_recipe(seconds: float) -> Recipe:
    """The recipe for measuring validation and test clips, the same for every model and phase.

    The reference is another clip of the speaker, the text's STOP is visible as when speaking, and there is one stop
    target.
    """
    return Recipe(reference="other", reference_seconds=(seconds, seconds))


# What is trained


class Drawn(Protocol):
    """A micro-batch before its rows are built: all random choices. clips: (b,) positions in the dataset."""

    @property
    def clips(self) -> np.ndarray: ...

    def part(self, rows: slice) -> "Drawn":
        """Take some of the clips, each with the same choices as in the whole micro-batch. It may have no clips."""

    def targets(self, codes: Codes, recipe: Recipe) -> tuple[int, int]:
        """Count the text and audio tokens that are targets. Without text targets, the first is 0."""


class Batch(Protocol):
    """One micro-batch as tensors on one device: a dataclass, which Fabric can convert to another precision.

    text_clips, mel_clips: (n,) int64, for each text and audio target, its clip's index in the batch.
    mel_targets: (n_mel,) int64, the audio tokens to predict.
    """

    text_clips: Tensor
    mel_clips: Tensor
    mel_targets: Tensor

    def to(self, device: torch.device) -> "Batch": ...


class Loss(nn.Module):
    """Cross entropies of a model: `forward(batch)` returns text CE (n_text,) and mel CE (n_mel,), one for each target.

    network: the part of the model that is trained. Its state_dict is what a phase saves and publishes.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network: Any = network

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The network's large layers. FSDP shards each of them by itself."""
        raise NotImplementedError

    @property
    def mel_head(self) -> nn.Module:
        """The layer of the network whose output, in `forward`, is the logits of the audio targets, (n_mel, codes)."""
        raise NotImplementedError

    @property
    def adapted(self) -> dict[str, Any]:
        """The matrices that get low-rank adapters, as arguments of `peft.LoraConfig`."""
        raise NotImplementedError

    def set_dropout(self, probability: float) -> None:
        """Set the dropout of the network in training."""
        raise NotImplementedError

    def recompute_activations(self) -> None:
        """In training, keep less of the forward pass and compute it again in the backward pass. Gradients stay."""
        raise NotImplementedError

    def draw(self, codes: Codes, clips: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> Drawn:
        """Make all random choices of a micro-batch. References are drawn from training clips only.

        Args:
            clips: positions in `codes`.
            rng: the caller seeds it, in training from the seed and the step.
        """
        raise NotImplementedError

    def batch(self, codes: Codes, drawn: Drawn, recipe: Recipe) -> Batch:
        """Build the rows of a micro-batch, or of a part of it."""
        raise NotImplementedError


class VoiceEncoder(Protocol):
    """A speaker encoder."""

    def embed(self, samples: np.ndarray, rate: int) -> np.ndarray | None:
        """Embed one utterance as a float32 unit vector; None if it is silent, not finite or shorter than 0.25 s."""


class Model(Protocol):
    """The model of a folder, opened in eval mode on the CPU.

    network: see `Loss`. Assign the network of a training to use it as it is now.
    vocoder: what turns codes into sound, as it is written into results.
    """

    network: Any
    vocoder: str

    def to(self, device: torch.device | str) -> Any: ...

    def loss(self) -> Loss:
        """The loss around `network`."""

    def compute_speaker(self, clips: Sequence[np.ndarray]) -> Speaker:
        """Take a voice from recordings, each (samples,). They are joined; the model uses at most REFERENCE_SECONDS."""

    def mel_ce_given(self, codes: Codes, chosen: np.ndarray, clips: Sequence[np.ndarray]) -> float:
        """Measure the mel CE of clips in fp32, all of them spoken in the voice of the same recordings.

        Args:
            chosen: positions in `codes`.
            clips: the recordings, as for `compute_speaker`.
        """

    def mel_ce_stock(self, data: Dataset, chosen: np.ndarray) -> float:
        """The mel CE of clips as the model's own trainer reports it, to compare with figures from there.

        Args:
            chosen: positions in `data.codes`.
        """

    def own_encoder(self) -> VoiceEncoder | None:
        """The speaker encoder that the model was trained with, if the folder has trained weights for it."""


class Speech(Model, Protocol):
    """A model that speaks.

    rate: of its sound, in Hz. codec_rate: of the recordings that audio codes are made from, in Hz.
    most_tokens: a text must have fewer text tokens.
    needs_speaker: whether codes that are given become other sound for another speaker.
    voices_latents: whether codes that are given become other sound after training, because the vocoder reads latents
        that the network computes of them. A trained model can then be better than the report's `codec` row.
    """

    @property
    def rate(self) -> int: ...

    @property
    def codec_rate(self) -> int: ...

    @property
    def most_tokens(self) -> int: ...

    @property
    def needs_speaker(self) -> bool: ...

    @property
    def voices_latents(self) -> bool: ...

    @property
    def languages(self) -> Sequence[str]:
        """The codes of the languages that it speaks."""

    def unknown_characters(self, text: str, language: str) -> list[str]:
        """The characters of a text that the vocabulary lacks, and the language's name if the model does not know it."""

    def tokens(self, text: str, language: str) -> np.ndarray:
        """Text tokens: (t,) int32."""

    def characters(self, language: str) -> int:
        """The most characters that are spoken at once; any number for a language that the model does not know."""

    def abbreviations(self, language: str) -> Sequence[Pattern[str]]:
        """Patterns of abbreviations with a full stop that ends no sentence. There may be none."""

    def decode(
        self, texts: Sequence[Tensor], speakers: Sequence[Speaker], settings: Decoding, seeds: Sequence[int]
    ) -> list[Tensor]:
        """Draw the audio codes of each text, (codes,) int64. A text does not change those of others."""

    def stopped(self, codes: Tensor) -> bool:
        """Whether the model ended these codes by itself, and not at its limit."""

    def sound(self, codes: Tensor, text: str, language: str, speed: float, speaker: Speaker) -> np.ndarray:
        """Turn a text's codes (codes,), at least one, into sound: (samples,) float32 at `rate` Hz.

        Args:
            speed: 2 is twice as fast, at the same pitch.
        """

    @property
    def streams(self) -> bool:
        """Whether the model has `stream`."""

    def stream(
        self, text: Tensor, speed: float, speaker: Speaker, settings: Decoding, seed: int
    ) -> Iterator[np.ndarray]:
        """Yield the sound of a text while its codes are drawn, (samples,) float32 at `rate` Hz.

        Joined, it is what `decode` and `sound` give, to 1e-3.
        """


class Encoder(Protocol):
    """A model's vocabulary and codec."""

    def fault_of(self, clip: Clip) -> str | None:
        """Say why a clip's text cannot be trained on. None if it can be."""

    def encode(self, clip: Clip, samples: np.ndarray) -> Encoded:
        """Encode one clip. samples: its recording, (samples,)."""


@dataclass(frozen=True)
class Added:
    """What was added with a language. new_letters: that the vocabulary lacked. letters, merges, tokens: how many."""

    new_letters: list[str]
    letters: int
    merges: int
    tokens: int


# The modules of a package


class Limits(Protocol):
    @property
    def CHARACTERS(self) -> Mapping[str, int]:
        """The most characters of one text, by language. Its keys are the languages of the model."""


class Layout(Protocol):
    SPEAKERS: str
    """The file of the speakers in a model folder."""

    def weights_file(self, folder: Path, /) -> Path:
        """The file of the weights. Raises UserError: the folder or one of its files is missing."""

    def files(self, folder: Path, /) -> list[Path]:
        """The files that decide what the model says, besides its speakers. The weights are the first."""

    def count_bytes(self, folder: Path, /) -> tuple[int, int]:
        """The bytes of the weights, and about how many of them are trained; zeros if there are no weights yet."""


class Folder(Protocol):
    def read_facts(self, folder: Path, /) -> dict[str, Any]:
        """Read and check voicetune.json. Raises UserError: it is damaged."""

    def usual_decoding(self, folder: Path, /) -> dict[str, Any]:
        """The decoding settings of a folder without voicetune.json, by the names of `params.decoding.Decoding`."""

    def speakers(self, folder: Path, /) -> dict[str, Speaker]:
        """Read the speakers by name. Raises UserError: the file is damaged, or does not fit the model."""


class Origins(Protocol):
    def unfold(self, base: str, out: Path, bundle: Path, /) -> None:
        """Make `out` the model folder that `base` of params.yaml names. On an error, `out` stays as it was.

        Args:
            base: one of the family's `bases`, or a path.
            bundle: the folder of the base that this repository includes.
        """


class Encoding(Protocol):
    def open_encoder(self, folder: Path, device: str, /) -> Encoder: ...


class Training(Protocol):
    def open_model(self, folder: Path, /) -> Model: ...

    def close(
        self,
        folder: Path,
        parent: Path,
        weights: dict[str, Tensor],
        voices: dict[str, Speaker],
        facts: dict[str, Any],
        /,
    ) -> None:
        """Write a phase's folder: the parent's files, with new weights, speakers and facts.

        Args:
            weights: the state_dict of the network.
            facts: written to voicetune.json under `facts`.
        """


class Speaking(Protocol):
    def open_speech(self, folder: Path, /) -> Speech: ...


@dataclass(frozen=True)
class Gift:
    """How a model is given away.

    consents: lines that say who agreed to what; without any, the card has a line to fill in. measured: the model's
    figures, by name. half: the weights are float16. safetensors: they are written as safetensors too. reference: for a
    .zip, a recording of the speaker, (samples,) and its rate in Hz.
    """

    consents: Sequence[str] = ()
    measured: Mapping[str, str] = field(default_factory=dict)
    half: bool = False
    safetensors: bool = False
    reference: tuple[np.ndarray, int] | None = None


class Export(Protocol):
    CARD: str
    """The file of the model card."""

    def export(self, model: Path, out: Path, gift: Gift, /) -> None:
        """Copy a model folder to a new one, or into a .zip, with a model card that names its licence and consents."""


class Hub(Protocol):
    def downloads(self) -> list[tuple[str, Path, str]]:
        """What was downloaded outside the project: a name for people, its folder, and the command that removes it."""


class Languages(Protocol):
    def extend(
        self, base: Path, out: Path, language: str, texts: Sequence[str], tokens: int, near: str | None, /
    ) -> Added:
        """Copy a model folder to a new one that also knows another language. Optional: only `extend` calls it."""
