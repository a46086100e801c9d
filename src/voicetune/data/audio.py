"""Turns recordings into clean mono samples: decoding, resampling, trimming, levels, lossless writing.

All later steps work at 22,050 Hz, the rate of XTTS's input. This module imports no torch.
"""

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import soundfile
import soxr

from voicetune import files
from voicetune.data import headers
from voicetune.errors import UserError

SAMPLE_RATE = 22050
LONGEST = 600  # seconds; a longer recording is not one sentence, and could fill the memory
_RATES = (8000, 192000)  # Hz: the rate of telephones, and the highest rate of microphones on sale
_AT_ONCE = 1 << 20  # samples per read, over all channels
_CONTAINERS = {"format_whitelist": "aac,aiff,amr,asf,au,caf,flac,matroska,mov,mp3,ogg,w64,wav"}
"""The formats that FFmpeg may read, whatever the extension. No playlists (concat, HLS), as they name other files."""
_UNKNOWN = 1 << 62  # frames; a count from here on means that the header has none, as in a streamed FLAC
_QUIETEST = 0.001  # -60 dB of full scale; a recording that never exceeds it holds no speech
_FLATTEST = 0.35
_GATE_SECONDS = 0.4  # the block of ITU-R BS.1770


class Unusable(UserError):
    """A recording that cannot be used. kind: the reason in a few words, the same for all recordings with that fault."""

    def __init__(self, kind: str, sentence: str):
        super().__init__(sentence)
        self.kind = kind


Blocks = Iterator[tuple[np.ndarray, int]]
"""A recording in blocks: (frames, channels) float32, and the rate in Hz."""


def read(path: Path) -> tuple[np.ndarray, int]:
    """Decode a sound file with soundfile, or with PyAV (FFmpeg inside its wheel) if soundfile cannot read it.

    Decoding stops once there are more than LONGEST seconds, whatever the header says.

    Returns:
        mono float32 samples, shape (samples,), and the sample rate in Hz. The channels are averaged; if they cancel
        each other, the loudest channel is taken.

    Raises:
        UserError: there is no such file.
        Unusable: it is empty, cut off or too long, neither library can decode it, it has an unusable sample rate, or
            some samples are not finite.
    """
    files.need(path, "add the recording, or correct what names it")
    try:
        if headers.is_cut_off(path):
            raise _cut_off(path)
        decoders = (_by_av,) if headers.counts_no_frames(path) else (_by_soundfile, _by_av)
        mono, rate = _decode(path, decoders)
    except OSError as error:
        raise Unusable("unreadable", f"{path} cannot be read ({error.strerror}); correct its permissions.") from None
    if mono.size == 0:
        raise Unusable("undecodable", f"{path} holds no samples; record it again or remove its row.")
    if not np.isfinite(mono).all():
        raise Unusable("undecodable", f"{path} holds samples that are not numbers; export it again as 16-bit WAV.")
    return mono, rate


def _decode(path: Path, decoders: tuple[Callable[[Path], Blocks], ...]) -> tuple[np.ndarray, int]:
    for decoder in decoders[:-1]:
        try:
            return _mono(decoder, path)
        except (soundfile.SoundFileError, RuntimeError):
            continue
    return _mono(decoders[-1], path)


def _mono(decoder: Callable[[Path], Blocks], path: Path) -> tuple[np.ndarray, int]:
    """Average the channels. If the average has less than 1 % of the loudest channel's energy, take that channel."""
    pieces, rate, energies, mixed = [], 0, np.zeros(1), 0.0
    for block, rate in decoder(path):  # noqa: B007 - the rate is that of all
        pieces.append(block.mean(axis=1))
        energies = energies + np.square(block, dtype=np.float64).sum(axis=0)
        mixed += float(np.square(pieces[-1], dtype=np.float64).sum())
    if mixed < energies.max() / 100:
        pieces = [block[:, energies.argmax()] for block, _ in decoder(path)]
    return (np.concatenate(pieces) if pieces else np.zeros(0, np.float32)), rate


def _by_soundfile(path: Path) -> Blocks:
    with path.open("rb") as opened, soundfile.SoundFile(opened) as file:
        _check_rate(path, file.samplerate)
        promised = file.frames if file.frames < _UNKNOWN else None
        _check_length(path, promised or 0, file.samplerate)
        at_once, done = max(1, _AT_ONCE // file.channels), 0
        while len(block := file.read(at_once, dtype="float32", always_2d=True)):
            done += len(block)
            _check_length(path, done, file.samplerate)
            yield block, file.samplerate
        _check_promise(path, done, promised, file.samplerate)


def _by_av(path: Path) -> Blocks:
    import av  # only needed for files that soundfile cannot decode (m4a, webm and the like)

    try:
        with (
            path.open("rb") as file,
            av.open(file, "r", container_options=_CONTAINERS, io_open=_opens_nothing) as container,
        ):
            stream = container.streams.audio[0]
            rate, done = int(stream.rate or 0), 0
            _check_rate(path, rate)
            promised = None if headers.counts_no_frames(path) else _promised_by_av(container, stream, rate)
            _check_length(path, promised or 0, rate)
            resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)
            for frame in container.decode(stream):
                for piece in resampler.resample(frame):
                    done += piece.samples
                    _check_length(path, done, rate)
                    yield np.ascontiguousarray(piece.to_ndarray().T), rate
            _check_promise(path, done, promised, rate)
    except (av.FFmpegError, IndexError, ValueError, AttributeError, TypeError, RuntimeError, MemoryError) as error:
        unknown = "FFmpeg has no decoder for it" if isinstance(error, AttributeError) else None
        reason = " ".join(str(unknown or getattr(error, "strerror", None) or error).split())[:200]
        raise Unusable("undecodable", f"{path} cannot be decoded ({reason}); convert it to WAV or FLAC.") from None


def _opens_nothing(url: str, _flags: int, _options: dict) -> NoReturn:
    raise PermissionError(f"a recording may not name another file, such as {url}")


def _promised_by_av(container, stream, rate: int) -> int | None:
    """The number of samples by the stream's header, or else by the container's; None if neither has it."""
    if stream.duration is not None:
        return round(float(stream.duration * stream.time_base) * rate)
    return None if container.duration is None else round(container.duration / 1e6 * rate)


def _check_rate(path: Path, rate: int) -> None:
    low, high = _RATES
    if not low <= rate <= high:
        raise Unusable(
            "unusable rate", f"{path} has {rate} samples a second, but {low} to {high} can be used; export it again."
        )


def _check_length(path: Path, samples: int, rate: int) -> None:
    if samples > LONGEST * rate:
        raise Unusable(
            "too long",
            f"{path} is longer than {LONGEST} s, or its header says so; cut it into sentences.",
        )


def _check_promise(path: Path, done: int, promised: int | None, rate: int) -> None:
    """Check the decoded length. Encoders pad a sound at both ends, so 0.1 s or 1 % (the longer) may be missing."""
    if promised is not None and done < promised - max(0.1 * rate, 0.01 * promised):
        raise _cut_off(path, f" ({done / rate:.2f} s of {promised / rate:.2f} s are there)")


def _cut_off(path: Path, amount: str = "") -> Unusable:
    return Unusable("cut off", f"{path} is shorter than its header says{amount}; copy or record it again.")


def fault_of(samples: np.ndarray, rate: int) -> str | None:
    """Why samples are not speech, in a few words: silence, a constant level or noise. None if there is no fault."""
    if np.abs(samples).max(initial=0.0) < _QUIETEST:
        return "silent"
    if np.abs(samples - samples.mean()).max() < _QUIETEST:
        return "a constant level and no sound"
    return "noise and no speech" if _is_noise(samples, rate) else None


def _is_noise(samples: np.ndarray, rate: int) -> bool:
    """Whether no part of a sound has a pitch or a spectral colour.

    Spectral flatness is the geometric mean of the power over its arithmetic mean. It is 0.56 in every part of white
    noise. In speech it falls below 0.1 wherever there is a vowel.
    """
    size = 1024
    if samples.size < 8 * size:
        return False
    frames = samples[: samples.size // size * size].reshape(-1, size)
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size))))[:, 2:-1] + 1e-12
    loud = power.sum(axis=1) > power.sum(axis=1).max() / 1000
    flatness = np.exp(np.log(power[loud]).mean(axis=1)) / power[loud].mean(axis=1)
    return bool(np.quantile(flatness, 0.1) > _FLATTEST)


def resample(samples: np.ndarray, rate: int, to: int = SAMPLE_RATE) -> np.ndarray:
    """Resample with soxr at its highest quality. Shapes (samples,) in and out."""
    return samples if rate == to else soxr.resample(samples, rate, to, quality="VHQ")


def trim_bounds(
    samples: np.ndarray, top_db: float, keep_seconds: float = 0.05, rate: int = SAMPLE_RATE
) -> tuple[int, int]:
    """First and last sample (exclusive) of a sound without its outer silence.

    Frames more than `top_db` below the loudest frame are silence. `keep_seconds` of it are kept at each end.
    """
    from librosa.effects import trim as librosa_trim

    _, (start, end) = librosa_trim(samples, top_db=top_db, frame_length=1024, hop_length=256)
    margin = int(keep_seconds * rate)
    return max(0, int(start) - margin), min(samples.size, int(end) + margin)


def trim(samples: np.ndarray, top_db: float, keep_seconds: float = 0.05, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Cut outer silence, see `trim_bounds`."""
    start, end = trim_bounds(samples, top_db, keep_seconds, rate)
    return samples[start:end]


def loudness_of(samples: np.ndarray, rate: int) -> float:
    """Integrated loudness in LUFS (EBU R 128, ITU-R BS.1770); minus infinity for silence.

    The measure needs 0.4 s. A shorter sound is repeated until it is long enough.
    """
    import pyloudnorm  # takes a second: it imports scipy

    if not samples.size:
        return -math.inf
    long_enough = np.resize(samples, max(samples.size, math.ceil(_GATE_SECONDS * rate))).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = float(pyloudnorm.Meter(rate).integrated_loudness(long_enough))
    return found if math.isfinite(found) else -math.inf


def level(samples: np.ndarray, loudness: float, peak: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Scale speech to `loudness` LUFS, see `loudness_of`, then lower it if a sample exceeds `peak` (0 to 1).

    Silence stays unchanged.
    """
    measured = loudness_of(samples, rate)
    if math.isfinite(measured):
        samples = samples * 10 ** ((loudness - measured) / 20)
    highest = float(np.abs(samples).max(initial=0.0))
    return (samples * (peak / highest) if highest > peak else samples).astype(np.float32)


def clean(samples: np.ndarray, rate: int, *, trim_db: float, loudness: float, peak: float) -> np.ndarray:
    """Resample to 22,050 Hz, trim and level. Every recording is cleaned by this function."""
    return level(trim(resample(samples, rate), trim_db), loudness, peak)


def write(path: Path, samples: np.ndarray) -> None:
    """Write mono samples losslessly (FLAC, 16 bit, 22,050 Hz).

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    file = io.BytesIO()  # libsndfile does not report a full disk
    soundfile.write(file, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.getbuffer())
