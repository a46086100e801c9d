"""Decodes sound files, whole or in part, into mono samples at their own rate. This module imports no torch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import soundfile

from voicetune import files
from voicetune.data import headers
from voicetune.errors import UserError

LONGEST = 600  # seconds; a longer recording is not one sentence, and could fill the memory
_RATES = (8000, 192000)  # Hz: the rate of telephones, and the highest rate of microphones on sale
_AT_ONCE = 1 << 20  # samples per read, over all channels
_CONTAINERS = {"format_whitelist": "aac,aiff,amr,asf,au,caf,flac,g722,gsm,matroska,mov,mp3,ogg,w64,wav"}
"""The formats that FFmpeg may read, whatever the extension. No playlists (concat, HLS), as they name other files."""
_RAW = {".g722": "g722", ".gsm": "gsm"}
"""Formats without a header, which only the extension tells: G.722 at 64 kbit/s and 16 kHz, GSM 06.10 at 8 kHz."""
_UNKNOWN = 1 << 62  # frames; a count from here on means that the header has none, as in a streamed FLAC
_OVERSHOOT = 0.1  # seconds that a segment may pass the end of its recording: times are rounded, encoders pad
_SHORTEST = 0.001  # seconds; a segment has at least a few samples
_SEEKS = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""Beginnings of libsndfile's subtypes for which seeking gives the same samples as decoding from the beginning: plain
samples, and FLAC. A decoder of MP3, Vorbis or Opus depends on what it decoded before."""


class Unusable(UserError):
    """A recording that cannot be used. kind: the reason in a few words, the same for all recordings with that fault."""

    def __init__(self, kind: str, sentence: str):
        super().__init__(sentence)
        self.kind = kind


class _Piece(NamedTuple):
    """A part of a decoded file. The first piece is empty, and comes before anything is decoded.

    samples: (frames, channels) float32. rate: in Hz. at: the first frame's number. promised: the header's number of
    frames in the file, None if it has none.
    """

    samples: np.ndarray
    rate: int
    at: int
    promised: int | None


_Decoder = Callable[[Path, float], Iterator[_Piece]]
"""Decodes a file. It may begin at a time in seconds instead of the beginning, if it can do that exactly."""
_Blocks = Iterator[tuple[np.ndarray, int]]
"""A sound in blocks: (frames, channels) float32, and the rate in Hz."""
_Mono = Iterator[tuple[np.ndarray, int]]
"""A sound in mono blocks: (samples,) float32, and the rate in Hz."""


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
    return _read(path, lambda decoder: _whole(path, decoder(path, 0.0)))


def read_segment(path: Path, start: float, end: float) -> tuple[np.ndarray, int]:
    """Decode a part of a sound file, as `read` decodes a file that holds this part alone.

    The samples are those from round(start * rate) to round(end * rate), the last one excluded, of the whole decoded
    file. Files of plain samples and FLAC are read from there. Any other file is decoded from its beginning, because
    seeking in it may give slightly different samples. No more than the segment and one block is in memory.

    Args:
        start, end: seconds from the beginning of the file. The end may be up to 0.1 s past the end of the file.

    Returns:
        see `read`.

    Raises:
        UserError, Unusable: see `read`; or the times are no part of the file, or more than LONGEST seconds apart.
    """
    if not start >= 0:
        raise _bad_segment(path, start, end, "begins before the recording")
    if not end - start >= _SHORTEST:
        raise _bad_segment(path, start, end, "ends before it begins" if end < start else "has no length")
    if end - start > LONGEST:
        raise Unusable("too long", f"the segment of {path} from {start:g} to {end:g} s is longer than {LONGEST} s.")
    return _read(path, lambda decoder: _part(path, decoder(path, start), start, end))


def stream(path: Path) -> _Mono:
    """Decode a sound file of any length, block by block.

    The samples are those that `read_segment` gives, except that the loudest channel is chosen for each block.

    Yields:
        mono float32 samples, shape (samples,), and the sample rate in Hz. No block is empty.

    Raises:
        UserError, Unusable: see `read`; after the blocks before the fault, if the file is cut off or damaged.
    """
    _need(path)
    done, promised = 0, None
    for decoder in _decoders(path):
        try:
            for samples, rate, at, promised in decoder(path, 0.0):  # noqa: B007 - it is the same for all
                done = at + len(samples)
                if len(samples):
                    yield _mono(lambda: iter([(samples, rate)]))  # noqa: B023 - it is called at once
            break
        except (soundfile.SoundFileError, RuntimeError):
            if done:
                raise Unusable("damaged", f"{path} can be decoded up to {done / rate:.1f} s only.") from None
    if not done:
        raise _empty(path)
    _check_promise(path, done, promised, rate)
    if headers.is_cut_off(path):
        raise _cut_off(path)


def seeks(path: Path) -> bool:
    """Whether `read_segment` can begin at a segment, and need not decode all that comes before it."""
    try:
        with path.open("rb") as opened, soundfile.SoundFile(opened) as file:
            return file.subtype.startswith(_SEEKS)
    except (OSError, soundfile.SoundFileError, RuntimeError):
        return False


def _decoders(path: Path) -> tuple[_Decoder, ...]:
    return (_by_av,) if headers.counts_no_frames(path) else (_by_soundfile, _by_av)


def _need(path: Path) -> None:
    """Require a plain file with at least a byte. FFmpeg prints a traceback for some empty files."""
    files.need(path, "add the recording, or correct what names it")
    if not path.stat().st_size:
        raise _empty(path)


def _read(path: Path, decode: Callable[[_Decoder], _Blocks]) -> tuple[np.ndarray, int]:
    _need(path)
    try:
        mono, rate = _first(_decoders(path), decode)
    except OSError as error:
        raise Unusable("unreadable", f"{path} cannot be read ({error.strerror}); correct its permissions.") from None
    if mono.size == 0:
        raise _empty(path)
    if not np.isfinite(mono).all():
        raise Unusable("undecodable", f"{path} holds samples that are not numbers; export it again as 16-bit WAV.")
    return mono, rate


def _first(decoders: tuple[_Decoder, ...], decode: Callable[[_Decoder], _Blocks]) -> tuple[np.ndarray, int]:
    """Decode with the first decoder that can."""
    for decoder in decoders[:-1]:
        try:
            return _mono(lambda: decode(decoder))  # noqa: B023 - it is called at once
        except (soundfile.SoundFileError, RuntimeError):
            continue
    return _mono(lambda: decode(decoders[-1]))


def _mono(decode: Callable[[], _Blocks]) -> tuple[np.ndarray, int]:
    """Average the channels. If the average has less than 1 % of the loudest channel's energy, take that channel."""
    pieces, rate, energies, mixed = [], 0, np.zeros(1), 0.0
    for block, rate in decode():  # noqa: B007 - the rate is that of all
        pieces.append(block.mean(axis=1))
        energies = energies + np.square(block, dtype=np.float64).sum(axis=0)
        mixed += float(np.square(pieces[-1], dtype=np.float64).sum())
    if mixed < energies.max() / 100:
        pieces = [block[:, energies.argmax()] for block, _ in decode()]
    return (np.concatenate(pieces) if pieces else np.zeros(0, np.float32)), rate


def _whole(path: Path, pieces: Iterator[_Piece]) -> _Blocks:
    """All blocks of a file, if it is complete and not too long."""
    if headers.is_cut_off(path):
        raise _cut_off(path)
    done = 0
    for samples, rate, at, promised in pieces:
        done = at + len(samples)
        _check_length(path, max(done, promised or 0), rate)
        if len(samples):
            yield samples, rate
    _check_promise(path, done, promised, rate)


def _part(path: Path, pieces: Iterator[_Piece], start: float, end: float) -> _Blocks:
    """The blocks between two times in seconds."""
    for samples, rate, at, _ in pieces:
        first, last, done = round(start * rate), round(end * rate), at + len(samples)
        if done > first:
            yield samples[max(0, first - at) : last - at], rate
        if done >= last:
            return
    if done > first and done >= last - _OVERSHOOT * rate:
        return
    if headers.is_cut_off(path):
        raise _cut_off(path)
    raise _bad_segment(path, start, end, f"passes the end of the recording at {done / rate:.2f} s")


def _by_soundfile(path: Path, start: float) -> Iterator[_Piece]:
    with path.open("rb") as opened, soundfile.SoundFile(opened) as file:
        rate = file.samplerate
        _check_rate(path, rate)
        promised = file.frames if file.frames < _UNKNOWN else None
        at = min(round(start * rate), file.frames) if file.subtype.startswith(_SEEKS) else 0
        yield _Piece(np.zeros((0, file.channels), np.float32), rate, at, promised)
        if at:
            file.seek(at)
        while len(block := file.read(max(1, _AT_ONCE // file.channels), dtype="float32", always_2d=True)):
            yield _Piece(block, rate, at, promised)
            at += len(block)


def _by_av(path: Path, _: float) -> Iterator[_Piece]:
    import av  # only needed for files that soundfile cannot decode (m4a, webm and the like)

    try:
        with (
            path.open("rb") as file,
            av.open(
                file, "r", _RAW.get(path.suffix.lower()), container_options=_CONTAINERS, io_open=_opens_nothing
            ) as container,
        ):
            if not container.streams.audio:
                raise Unusable("no sound", f"{path} has no sound, only a picture; replace or remove it.")
            stream = container.streams.audio[0]
            rate, at = int(stream.rate or 0), 0
            _check_rate(path, rate)
            promised = None if headers.counts_no_frames(path) else _promised_by_av(container, stream, rate)
            yield _Piece(np.zeros((0, 1), np.float32), rate, 0, promised)
            resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)
            for frame in container.decode(stream):
                for piece in resampler.resample(frame):
                    yield _Piece(np.ascontiguousarray(piece.to_ndarray().T), rate, at, promised)
                    at += piece.samples
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


def _empty(path: Path) -> Unusable:
    return Unusable("undecodable", f"{path} holds no samples; record it again or remove its row.")


def _cut_off(path: Path, amount: str = "") -> Unusable:
    return Unusable("cut off", f"{path} is shorter than its header says{amount}; copy or record it again.")


def _bad_segment(path: Path, start: float, end: float, fault: str) -> Unusable:
    return Unusable("bad segment", f"the segment of {path} from {start:g} to {end:g} s {fault}; correct its times.")
