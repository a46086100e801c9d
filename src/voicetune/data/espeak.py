"""Speech from espeak-ng, without a system package: for clips from texts, and for a stranger's voice in comparisons.

espeak-ng (https://github.com/espeak-ng/espeak-ng) is a formant synthesiser. The same text, voice and version give the
same samples under two conditions. The utterance must be the first of a freshly loaded library, because static state,
such as the phase of the wave, survives espeak_Terminate. The noise must be seeded, because espeak-ng otherwise seeds it
from the clock. So this module loads the library, seeds it and unloads it again for every utterance.
"""

import _ctypes
import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import espeakng_loader
import numpy as np

from voicetune.errors import UserError

SAMPLE_RATE = 22050
_RETRIEVAL = 1  # AUDIO_OUTPUT_RETRIEVAL: samples come to the callback, nothing is played
_BUFFER_MS = 200
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: a failure is a return value, not an exit()
_UTF8 = 1
_RATE, _PITCH = 1, 3  # espeak_PARAMETER
_WORD = 1  # espeakEVENT_WORD; 0 ends a list of events


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def speak(text: str, voice: str, rate: int = 175, pitch: int = 50) -> np.ndarray:
    """Speak one text: float32 samples in -1 to 1, (samples,), at 22,050 Hz. See `speak_timed`."""
    return speak_timed(text, voice, rate, pitch)[0]


@contextmanager
def _load() -> Iterator[ctypes.CDLL]:
    """espeak-ng, loaded afresh, started and seeded. It is unloaded at the end.

    Raises:
        UserError: it cannot be started.
    """
    lib = ctypes.CDLL(espeakng_loader.get_library_path())
    rate_hz = lib.espeak_Initialize(_RETRIEVAL, _BUFFER_MS, _data_path().encode(), _DONT_EXIT)
    if rate_hz != SAMPLE_RATE:
        raise UserError(f"espeak-ng did not start (it answered {rate_hz}); install espeakng-loader again.")
    try:
        lib.espeak_ng_SetRandSeed(ctypes.c_long(0))
        yield lib
    finally:
        lib.espeak_Terminate()
        _unload(lib)


def _data_path() -> str:
    """The folder of espeak-ng's data. On Windows it is relative: espeak-ng may not know the letters of a whole path."""
    path = str(espeakng_loader.get_data_path())
    if sys.platform == "win32":
        with suppress(ValueError):  # it is on another disk
            return os.path.relpath(path)
    return path


def speak_timed(text: str, voice: str, rate: int = 175, pitch: int = 50) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Speak one text, and say when each word begins.

    Args:
        text: what to say, any length.
        voice: an espeak-ng voice name, with a variant if wanted: `hu`, `en-us`, `en-us+f3`.
        rate: words a minute, 80 to 450.
        pitch: base pitch, 0 to 100.

    Returns:
        The samples of `speak`, and for each word that espeak-ng read, its place in the text (in characters, from 0)
        and its first sample.

    Raises:
        UserError: the voice is unknown, or espeak-ng cannot be started.
    """
    pieces: list[np.ndarray] = []
    words: list[tuple[int, int]] = []

    def collect(samples, count, events):  # espeak-ng calls it with int16 samples and their events
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type != 0:
            if events[i].type == _WORD:
                words.append((events[i].text_position - 1, events[i].sample))
            i += 1
        return 0

    callback = _Callback(collect)
    with _load() as lib:
        lib.espeak_SetSynthCallback(callback)
        if lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UserError(f"espeak-ng has no voice '{voice}'; names look like en-us, en-us+f3 or hu.")
        lib.espeak_SetParameter(_RATE, rate, 0)
        lib.espeak_SetParameter(_PITCH, pitch, 0)
        data = text.encode()
        lib.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 0, 0, _UTF8, None, None)
        lib.espeak_Synchronize()
    spoken = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    return spoken.astype(np.float32) / 32768.0, words


def _unload(lib: ctypes.CDLL) -> None:
    if sys.platform == "win32":
        _ctypes.FreeLibrary(lib._handle)
    else:
        _ctypes.dlclose(lib._handle)
