"""Checks sound files for faults that the decoders do not report: a cut-off end, or a header without a frame count.

libsndfile and FFmpeg read a cut-off WAV, AIFF, CAF, W64, AU or Ogg file as if it ended there. If an MP3's header has no
frame count, libsndfile estimates the length as if the bit rate were constant, and stops there. Cut-off FLAC, m4a and
WebM files need no check here: their decoders fail, or give less than the length in the header (see `recordings.read`).
"""

from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

_HEAD = 1 << 12  # bytes
_PAGE = 65307  # bytes, the longest page of Ogg (RFC 3533)
_LAST = 4  # the flag of a stream's last page
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")  # the GUID of "riff"


class _Chunks(NamedTuple):
    """How a format writes its chunks: an id, a length, the content.

    start: where the first chunk begins. id, length: how many bytes these take. counted: how many bytes of the length
    are the id and the length themselves. aligned: each chunk begins at a multiple of so many bytes. samples: the id of
    the chunk of samples. streamed: a length of 0, or from here on, means unknown, as the program wrote into a pipe.
    """

    start: int
    order: Literal["little", "big"]
    id: int
    length: int
    counted: int
    aligned: int
    samples: bytes
    streamed: int


_WAV = _Chunks(12, "little", 4, 4, 0, 2, b"data", 0x7FFF0000)
_AIFF = _Chunks(12, "big", 4, 4, 0, 2, b"SSND", 0x7FFF0000)
_CAF = _Chunks(8, "big", 4, 8, 0, 1, b"data", 1 << 62)  # Apple Core Audio Format Specification 1.0
_W64 = _Chunks(40, "little", 16, 8, 24, 8, b"data", 1 << 62)  # Sony Wave64


def is_cut_off(path: Path) -> bool:
    """Whether a WAV, AIFF, CAF, W64, AU or Ogg file is cut off; False for other formats, and for a file that was
    streamed.

    An Ogg file is cut off if its last page is incomplete, or lacks the flag of a stream's last page. The others are cut
    off if their samples, by the header, are longer than the rest of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(40)
        if head[:4] == b"OggS":
            file.seek(max(0, size - 2 * _PAGE))
            return _ogg_is_cut_off(file.read())
        if head[:4] in (b".snd", b"dns."):
            return _au_is_cut_off(head, size)
        chunks = _chunks_of(head)
        return chunks is not None and _chunks_are_cut_off(file, chunks, size)


def _chunks_of(head: bytes) -> _Chunks | None:
    if head[:16] == _W64_RIFF and head[24:28] == b"wave":
        return _W64
    if head[:4] == b"caff":
        return _CAF
    known = {b"RIFFWAVE": _WAV, b"RF64WAVE": _WAV, b"FORMAIFF": _AIFF, b"FORMAIFC": _AIFF}
    return known.get(head[:4] + head[8:12])


def _chunks_are_cut_off(file: BinaryIO, form: _Chunks, size: int) -> bool:
    at, long = form.start, 0
    while at + form.id + form.length <= size:
        file.seek(at)
        id, field = file.read(form.id), file.read(form.length)
        length = int.from_bytes(field, form.order) - form.counted
        begin = at + form.id + form.length
        if id == b"ds64":  # RF64's sizes of the file and of the samples, 8 bytes each (EBU Tech 3306)
            long = int.from_bytes(file.read(16)[8:], "little")
        if id.startswith(form.samples):
            if long and length == 0xFFFFFFFF:
                return begin + long > size + 1
            return 0 < length < form.streamed and begin + length > size + 1  # a byte of padding may be missing
        if length < 0:
            return False  # no chunk is shorter than its own head: the file is damaged, which its decoder tells
        at = -(-(begin + length) // form.aligned) * form.aligned
    return False


def _au_is_cut_off(head: bytes, size: int) -> bool:
    """AU has no chunks: its header is the place and the length of the samples (4 bytes each; all ones: unknown)."""
    order: Literal["little", "big"] = "big" if head[:4] == b".snd" else "little"
    begin, length = int.from_bytes(head[4:8], order), int.from_bytes(head[8:12], order)
    return length != 0xFFFFFFFF and begin + length > size


def _ogg_is_cut_off(end: bytes) -> bool:
    at = end.rfind(b"OggS")
    if at < 0 or len(end) < at + 27:
        return True
    segments = end[at + 26]
    whole = at + 27 + segments + sum(end[at + 27 : at + 27 + segments])
    return not end[at + 5] & _LAST or whole > len(end)


def counts_no_frames(path: Path) -> bool:
    """Whether this is an MP3 without a Xing, Info or VBRI header, which holds the number of frames."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if head[:3] == b"ID3":
            tag = 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            file.seek(tag)
            head = file.read(_HEAD)
    is_mp3 = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 in (0xE2,)  # sync, layer III
    return is_mp3 and not any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))
