"""Encodes the parts of a text one after the other, so that the first is heard before the last is made.

Every sound of the service has one channel and 24,000 samples a second, as in OpenAI's API. The same samples give the
same bytes each time.
"""

import io
from typing import Any

import av
import numpy as np

from voicetune.data import audio
from voicetune.data.formats import SYNTHETIC
from voicetune.speech import say

RATE = 24_000  # Hz
FORMATS = {  # by the name in the API: media type, container, codec
    "mp3": ("audio/mpeg", "mp3", "libmp3lame"),
    "opus": ("audio/ogg", "ogg", "libopus"),
    "aac": ("audio/aac", "adts", "aac"),
    "flac": ("audio/flac", "flac", "flac"),
    "wav": ("audio/wav", "wav", "pcm_s16le"),
    "pcm": ("audio/pcm", "s16le", "pcm_s16le"),
}
_EXACT = {"fflags": "+bitexact"}  # without it, the serial number of an Ogg stream is random
_OPTIONS = {"ogg": {"page_duration": "100000"}}  # microseconds; a page is sent when it is full, by default after 1 s


def finish(sound: np.ndarray, rate: int, marked: bool = False) -> np.ndarray:
    """Trim and finish the sound of a part, (samples,) float32 at `rate` Hz, and resample it to RATE. marked: with the
    watermark."""
    return audio.resample(say.finish(say.trim(sound, rate), rate, marked=marked), rate, RATE)


class Stream:
    """A file that is sent while it is made. A WAV file has no known length: players take all that comes."""

    def __init__(self, format: str):
        self._pipe = _Pipe()
        self._encoder = _Encoder(format, self._pipe)

    def add(self, samples: np.ndarray) -> bytes:
        """Encode samples, (samples,) float32 in -1 to 1 at RATE, and return the bytes that are ready to be sent."""
        self._encoder.add(samples)
        return self._pipe.take()

    def end(self) -> bytes:
        """End the file, and return its last bytes."""
        self._encoder.end()
        return self._pipe.take()


def encode(samples: np.ndarray, format: str) -> bytes:
    """Encode a whole file, whose header says its length.

    Args:
        samples: (samples,) float32 in -1 to 1 at RATE.
        format: one of FORMATS.
    """
    buffer = io.BytesIO()
    encoder = _Encoder(format, buffer)
    encoder.add(samples)
    encoder.end()
    return buffer.getvalue()


class _Encoder:
    def __init__(self, format: str, sink: Any):
        _, container, codec = FORMATS[format]
        self._file = av.open(sink, "w", format=container, container_options=_EXACT | _OPTIONS.get(container, {}))
        self._file.metadata["comment"] = SYNTHETIC
        self._stream: Any = self._file.add_stream(codec, rate=RATE, layout="mono")
        self._samples = 0

    def add(self, samples: np.ndarray) -> None:
        if not samples.size:
            return
        integers = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(integers[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, self._samples
        self._samples += len(integers)
        self._file.mux(self._stream.encode(frame))

    def end(self) -> None:
        self._file.mux(self._stream.encode(None))
        self._file.close()


class _Pipe:
    """A file that cannot seek, as a network connection cannot."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken
