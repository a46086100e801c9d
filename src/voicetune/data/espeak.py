"""Speech from espeak-ng, the voice of the embedded default, without a system package.

espeak-ng (https://github.com/espeak-ng/espeak-ng) is a formant synthesiser: the same text, voice and
version give the same samples, but only for the first utterance of a freshly loaded library (its static
state, such as the phase of the wave, survives espeak_Terminate), and with its noise seeded, which it
otherwise does from the clock. So every utterance here loads it afresh, seeds it and unloads it again.
"""

import _ctypes
import ctypes

import espeakng_loader
import numpy as np

from voicetune.errors import UserError

SAMPLE_RATE = 22050
_RETRIEVAL = 1  # AUDIO_OUTPUT_RETRIEVAL: samples come to the callback, nothing is played
_BUFFER_MS = 200
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: a failure is a return value, not an exit()
_UTF8 = 1
_RATE, _PITCH = 1, 3  # espeak_PARAMETER
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def speak(text: str, voice: str, rate: int = 175, pitch: int = 50) -> np.ndarray:
    """Speak one text.

    Args:
        text: what to say, any length.
        voice: an espeak-ng voice name, with a variant if wanted: `hu`, `en-us`, `en-us+f3`.
        rate: words a minute, 80 to 450.
        pitch: base pitch, 0 to 100.

    Returns:
        float32 samples in -1 to 1, shape (samples,), at 22,050 Hz.

    Raises:
        UserError: the voice is unknown, or espeak-ng cannot be started.
    """
    lib = ctypes.CDLL(espeakng_loader.get_library_path())
    pieces: list[np.ndarray] = []

    def collect(samples, count, _events):  # called by espeak-ng with blocks of int16
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    callback = _Callback(collect)
    rate_hz = lib.espeak_Initialize(_RETRIEVAL, _BUFFER_MS, str(espeakng_loader.get_data_path()).encode(), _DONT_EXIT)
    if rate_hz != SAMPLE_RATE:
        raise UserError(f"espeak-ng did not start (it answered {rate_hz}); install espeakng-loader again.")
    try:
        lib.espeak_ng_SetRandSeed(ctypes.c_long(0))
        lib.espeak_SetSynthCallback(callback)
        if lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UserError(f"espeak-ng has no voice '{voice}'; names look like en-us, en-us+f3 or hu.")
        lib.espeak_SetParameter(_RATE, rate, 0)
        lib.espeak_SetParameter(_PITCH, pitch, 0)
        data = text.encode()
        lib.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 0, 0, _UTF8, None, None)
        lib.espeak_Synchronize()
    finally:
        lib.espeak_Terminate()
        _ctypes.dlclose(lib._handle)
    if not pieces:
        return np.zeros(0, np.float32)
    return np.concatenate(pieces).astype(np.float32) / 32768.0
