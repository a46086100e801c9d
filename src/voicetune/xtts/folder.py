"""Opens and writes model folders, whether they come from the hub, the bundle, a phase or a remote.

A folder has the files that the stock client (`TTS.tts.models.xtts.Xtts`) reads: config.json, the weights (model.pth, or
best_model.pth of a phase), vocab.json, dvae.pth, mel_stats.pth and speakers_xtts.pth. voicetune adds voicetune.json,
which holds the vocoder (`hifigan` if the HiFi-GAN is trained), the origin, the licence and a phase's facts. LICENSE.txt
is copied from parent to child.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.layers.xtts.dvae import DiscreteVAE
from TTS.tts.models.xtts import Xtts

from voicetune import copies, files
from voicetune.errors import UserError
from voicetune.params.decoding import Decoding
from voicetune.xtts import checks, codec
from voicetune.xtts.layout import FACTS, LICENCE, SHARED, SPEAKERS, WEIGHTS, weights_file
from voicetune.xtts.renderer import PREFIX, Renderer, sizes_of
from voicetune.xtts.tensors import load, load_weights, save
from voicetune.xtts.text import Tokenizer

PUBLISHED = ("published", "language", "decoding", "pace", "references")
"""The keys that stage publish adds to FACTS. A child does not inherit them."""
_CODEC_PARTS = ("encoder.", "decoder.", "codebook.")
# Names in checkpoints that are not the model's own weights. The first three come from the stock trainer. The last two
# come from XTTS v1: its generator, which has the GPT's own tensors under a second name.
_NOT_XTTS = (
    "torch_mel_spectrogram_style_encoder.", "torch_mel_spectrogram_dvae.", "dvae.", "gpt.gpt_inference.",
    "gpt.gpt.wte.",
)  # fmt: skip

Speakers = dict[str, dict[str, Tensor]]


def select_xtts_weights(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keep only the weights of the stock `Xtts`, under its own names, whichever trainer wrote them."""
    named = {name.removeprefix("xtts."): value for name, value in found.items()}
    return {name: value for name, value in named.items() if not name.startswith(_NOT_XTTS)}


def is_plain(path: Path, xtts: Xtts) -> bool:
    """Whether a checkpoint holds only the stock model's weights, under the stock model's own names.

    The stock client rewrites the files of some other checkpoints when it loads them.
    """
    loaded = load(path)
    return set(loaded) == {"model"} and set(loaded["model"]) == set(xtts.state_dict())


def open_config(folder: Path) -> XttsConfig:
    """Open config.json with the stock class.

    Raises:
        UserError: config.json is missing or damaged, or has values that XTTS cannot have.
    """
    path, opened = folder / "config.json", XttsConfig()
    files.need(path, checks.AGAIN)
    with readable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the stock class warns about fields that XTTS does not use
        checks.check_config(path, json.loads(path.read_text(encoding="utf-8")))
        opened.load_json(str(path))
    return opened


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns any error that a damaged file raises while it is opened into one UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the stock loaders' errors have no common type
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} cannot be read ({reason}); {checks.AGAIN}.") from None


def read_facts(folder: Path) -> dict[str, Any]:
    """Read voicetune.json. A folder without one is taken for the published XTTS v2."""
    path = folder / FACTS
    if not path.is_file():
        return {"vocoder": "hifigan"}
    with readable(path):
        return checks.check_facts(path, json.loads(path.read_text(encoding="utf-8")))


def usual_decoding(folder: Path) -> dict[str, Any]:
    """The decoding settings in config.json, as the stock client takes them."""
    stock = open_config(folder)
    return {name: getattr(stock, name) for name in Decoding.model_fields}


def open_tokenizer(folder: Path) -> Tokenizer:
    return open_vocabulary(folder / "vocab.json")


def open_vocabulary(path: Path) -> Tokenizer:
    """Open a vocab.json.

    Raises:
        UserError: it is missing or damaged, or lacks a token that XTTS needs.
    """
    files.need(path, checks.AGAIN)  # on a pipe, the stock tokenizer would wait forever
    with readable(path):
        words = Tokenizer(path)
        for name in ("[UNK]", "[START]", "[STOP]"):
            words.special(name)
        words.stock.tokenizer.encode("\ue000")  # no vocabulary has this, so a damaged unknown token raises here
    return words


def build(settings: XttsConfig, words: Tokenizer) -> Xtts:
    """Build a stock model with the vocabulary's number of text tokens, without loading its weights."""
    settings.model_args.gpt_number_text_tokens = len(words)
    settings.model_args.gpt_start_text_token = words.special("[START]")
    settings.model_args.gpt_stop_text_token = words.special("[STOP]")
    model = Xtts(settings)
    model.tokenizer = words.stock
    return model


def open_xtts(folder: Path) -> Xtts:
    """Open the whole stock model with its weights, strictly loaded, in eval mode, but not set up for generation."""
    path = weights_file(folder)
    settings, words = open_config(folder), open_tokenizer(folder)
    return assemble(path, load_weights(path), settings, words)


def assemble(path: Path, found: dict[str, Tensor], settings: XttsConfig, words: Tokenizer) -> Xtts:
    """Build a stock model from its parts.

    Args:
        path: the file that the weights `found` were read from.

    Raises:
        UserError: the parts do not fit each other. Sizes are checked before anything is built that is larger than the
            file.
    """
    weights = select_xtts_weights(found)
    checks.check_fits_file(path, weights)
    checks.check_gpt_sizes(path, weights, settings.model_args, len(words))
    try:
        model = build(settings, words)
        model.load_state_dict(weights, strict=True)
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not fit its config.json ({reason}); take both from the same model.") from None
    checks.check_mel_stats(path, model.mel_stats)
    torch.nn.Module.eval(model)  # Xtts.eval would also build the generator
    return model


def open_dvae(folder: Path) -> tuple[DiscreteVAE, Tensor]:
    """Open the DVAE, in the sizes that its weights have, and mel_stats (80,).

    Raises:
        UserError: the weights are not a DVAE's, or have another number of codes than config.json.
    """
    return open_codec(folder)[:2]


def open_codec(folder: Path) -> tuple[DiscreteVAE, Tensor, Renderer | None]:
    """Open the DVAE, mel_stats (80,), and the renderer if it is the folder's vocoder.

    Raises:
        UserError: see `open_dvae`, or the renderer is missing, or its weights do not fit each other.
    """
    path, stats = folder / "dvae.pth", folder / "mel_stats.pth"
    weights = load_weights(path)
    dvae = assemble_dvae(path, weights, open_config(folder))
    renderer = assemble_renderer(path, weights) if read_facts(folder)["vocoder"] == "renderer" else None
    return dvae, checks.check_mel_stats(stats, load(stats)), renderer


def assemble_renderer(path: Path, dvae: dict[str, Tensor]) -> Renderer:
    """Build the renderer from a DVAE's weights, which were read from the file `path`. See `open_codec`."""
    weights = {name.removeprefix(PREFIX): value for name, value in dvae.items() if name.startswith(PREFIX)}
    try:
        checks.check_fits_file(path, weights)
        sizes = sizes_of(weights)
        with torch.device("meta"):  # compares all shapes with the file before it allocates memory
            shapes = {name: value.shape for name, value in Renderer(**sizes).state_dict().items()}
        if shapes != {name: value.shape for name, value in weights.items()}:
            raise ValueError("its tensors have other names or shapes than a renderer's")
        if sizes["codebook_dim"] != dvae["codebook.embed"].shape[0]:
            raise ValueError("its codes are not as wide as the codebook's")
        opened = Renderer(**sizes)
        opened.load_state_dict(weights)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} has no renderer that fits ({reason}); {checks.AGAIN}.") from None
    if not (opened.spread.min() >= 1e-3 and opened.spread.max() <= 1e3 and opened.mean.abs().max() <= 1e3):
        raise UserError(f"{path}: the renderer's mean or spread is zero or far off; {checks.AGAIN}.")
    return opened.eval()


def assemble_dvae(path: Path, weights: dict[str, Tensor], settings: XttsConfig) -> DiscreteVAE:
    """Build a DVAE from its weights, which were read from the file `path`. See `open_dvae`."""
    checks.check_fits_file(path, weights)
    try:
        sizes = codec.sizes_of(weights)
        needed = (12 + 56 * sizes["num_resnet_blocks"]) * sizes["hidden_dim"] ** 2  # its convolutions alone
        if needed > sum(value.numel() for value in weights.values()):  # one tensor may have a size that the others lack
            raise ValueError("its tensors are smaller than its sizes")
        dvae = codec.build_dvae(**sizes)
        strange = dvae.load_state_dict(weights, strict=False)  # training counters may be missing or extra
        reason = ", ".join(n for n in (*strange.missing_keys, *strange.unexpected_keys) if n.startswith(_CODEC_PARTS))
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or "another shape"
    if reason:
        raise UserError(f"{path} is not a DVAE of XTTS ({reason[:200]}); take the one that belongs to the model.")
    num_tokens = settings.model_args.gpt_num_audio_tokens - 2
    if dvae.num_tokens != num_tokens:
        raise UserError(
            f"{path} has {dvae.num_tokens} codes and config.json {num_tokens}; take both from the same model."
        )
    return dvae.eval()


def speakers(folder: Path) -> Speakers:
    """Read the speakers by name: gpt_cond_latent (1, 32, width) and speaker_embedding (1, 512, 1).

    Raises:
        UserError: speakers_xtts.pth is damaged, or does not fit config.json.
    """
    path = folder / SPEAKERS
    if not path.is_file():
        return {}
    return checks.check_speakers(path, load(path), open_config(folder).model_args.gpt_n_model_channels)


def check(folder: Path) -> None:
    """Open every file of a model folder and check every weight, before the folder is given away.

    Raises:
        UserError: a file is a link out of the folder, is damaged, does not fit the others, or has weights that are not
            finite.
    """
    weights = weights_file(folder)
    for path in (weights, *(folder / name for name in (*SHARED, SPEAKERS, FACTS, LICENCE))):
        copies.check_link(path, folder)
    speakers(folder)
    read_facts(folder)
    dvae, _, renderer = open_codec(folder)
    for part in filter(None, (dvae, renderer)):
        checks.check_finite(folder / "dvae.pth", part.state_dict())
    checks.check_finite(weights, open_xtts(folder).state_dict())


def close(folder: Path, parent: Path, gpt: dict[str, Tensor], voices: Speakers, facts: dict[str, Any]) -> None:
    """Write a phase's folder in its parent's layout, with new GPT weights, speakers and facts.

    Args:
        gpt: state of the GPT alone, keys as in `GPT.state_dict`.
        voices: speakers, as `speakers` returns them.
        facts: written to voicetune.json under `facts`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*SHARED, LICENCE):
        if (parent / name).is_file():
            copies.copy(parent / name, folder / name)
    weights = select_xtts_weights(load_weights(weights_file(parent)))
    weights.update({f"gpt.{name}": value for name, value in gpt.items()})
    save({"model": weights}, folder / WEIGHTS[0])
    save(voices, folder / SPEAKERS)
    known = {name: value for name, value in read_facts(parent).items() if name not in PUBLISHED}
    text = json.dumps({**known, "facts": facts}, indent=2, ensure_ascii=False)
    with copies.written(folder):
        (folder / FACTS).write_text(text + "\n", encoding="utf-8", newline="\n")
