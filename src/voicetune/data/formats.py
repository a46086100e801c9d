"""Encodes sound as WAV, FLAC, MP3 or Ogg Vorbis with libsndfile. The same sound gives the same bytes each time."""

import io
import zlib
from pathlib import Path

import numpy as np
import soundfile

from voicetune import files
from voicetune.errors import UserError

_SUBTYPES = {"wav": "PCM_16", "flac": "PCM_16", "mp3": "MPEG_LAYER_III", "ogg": "VORBIS"}
FORMATS = tuple(_SUBTYPES)
SYNTHETIC = "Synthetic speech: a model says this, not a person. Made with voicetune."
"""The comment of a file with what a model says."""
_AT_ONCE = 1 << 16  # samples; libsndfile's Vorbis encoder puts all samples of one call on the stack
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def format_of(path: Path) -> str:
    """`wav`, `flac`, `mp3` or `ogg`, by the file's extension.

    Raises:
        UserError: it has another extension.
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending not in _SUBTYPES:
        raise UserError(f"{path} should end in {', '.join('.' + f for f in FORMATS[:-1])} or .{FORMATS[-1]}.")
    return ending


def encode(samples: np.ndarray, rate: int, format: str, comment: str = "") -> bytes:
    """Encode a whole file. WAV and FLAC have 16 bits.

    Args:
        samples: (samples,) float32 in -1 to 1, mono.
        format: one of FORMATS.
        comment: written into the file's metadata, in each format.
    """
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, 1, _SUBTYPES[format], format=format.upper()) as sound:
        if comment:
            sound.comment = comment
        for start in range(0, len(samples), _AT_ONCE):
            sound.write(samples[start : start + _AT_ONCE])
    return _without_serial(file.getvalue()) if format == "ogg" else file.getvalue()


def check_place(path: Path) -> None:
    """Check that a file can be written at `path`, before the work begins.

    Raises:
        UserError: its folder is missing or cannot be written, or a folder, a pipe or a device is in the way.
    """
    with files.writing(path):
        try:
            if path.is_dir():
                raise UserError(f"{path} is a folder; choose another place.")
            if path.exists() and not files.is_file(path):
                raise UserError(f"{path} is a pipe or a device, but should be a file; choose another place.")
            files.beside(path).unlink(missing_ok=True)
            files.beside(path).touch()
            files.beside(path).unlink()
        except FileNotFoundError:
            if path.parent.is_dir():
                raise UserError(f"{path} cannot be written; choose another place.") from None
            raise UserError(f"the folder {path.parent} does not exist; make it, or choose another place.") from None
        except ValueError:  # a NUL
            raise UserError(f"'{path}' is no name that a file can have; choose another place.") from None


def _without_serial(ogg: bytes) -> bytes:
    """Set the serial number of the stream to 0 in an Ogg file of one stream; libsndfile draws it from the clock.

    Without this, `say` and stage synthesize would write other bytes in each run, so a fresh clone with
    `synthesize.format: ogg` would not reproduce the hashes in dvc.lock.

    Source: RFC 3533, section 6. A page has the serial number in bytes 14 to 17, the checksum in bytes 22 to 25, and the
    lengths of its segments from byte 27 on.
    """
    pages, start = [], 0
    while start < len(ogg):
        segments = ogg[start + 26]
        size = 27 + segments + sum(ogg[start + 27 : start + 27 + segments])
        page = bytearray(ogg[start : start + size])
        page[14:18] = page[22:26] = bytes(4)
        page[22:26] = _checksum(page).to_bytes(4, "little")
        pages.append(bytes(page))
        start += size
    return b"".join(pages)


def _checksum(page: bytes | bytearray) -> int:
    """CRC-32 with Ogg's conventions: zlib's polynomial, but the bits in reverse order and nothing inverted."""
    mirrored = zlib.crc32(bytes(page).translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
