"""Checks sound files for faults that the decoders do not report: a cut-off end, or a header without a frame count.

libsndfile and FFmpeg read a cut-off WAV or Ogg file as if it ended there. If an MP3's header has no frame count,
libsndfile estimates the length as if the bit rate were constant, and stops there. Cut-off FLAC, m4a and WebM files need
no check here: their decoders fail, or give less than the length in the header (see `audio.read`).
"""

from pathlib import Path

_STREAMED = 0x7FFF0000  # a size of 0, or from here on, means unknown: the program wrote into a pipe
_HEAD = 1 << 12  # bytes
_PAGE = 65307  # bytes, the longest page of Ogg (RFC 3533)
_LAST = 4  # the flag of a stream's last page


def is_cut_off(path: Path) -> bool:
    """Whether a WAV, AIFF or Ogg file is cut off; False for other formats, and for a WAV or AIFF that was streamed.

    A WAV or AIFF is cut off if its chunk of samples is longer than the rest of the file. An Ogg file is cut off if its
    last page is incomplete, or lacks the flag of a stream's last page.
    """
    with path.open("rb") as file:
        head = file.read(12)
        size = path.stat().st_size
        if head[:4] == b"OggS":
            file.seek(max(0, size - 2 * _PAGE))
            return _ogg_is_cut_off(file.read())
        kind = {b"RIFFWAVE": ("little", b"data"), b"RF64WAVE": ("little", b"data"), b"FORMAIFF": ("big", b"SSND")}
        order, samples = kind.get(head[:4] + head[8:12], ("", b""))
        at, long = 12, 0
        while order and at + 8 <= size:
            file.seek(at)
            chunk = file.read(8)
            length = int.from_bytes(chunk[4:], "little" if order == "little" else "big")
            if chunk[:4] == b"ds64":  # RF64's sizes of the file and of the samples, 8 bytes each (EBU Tech 3306)
                long = int.from_bytes(file.read(16)[8:], "little")
            if chunk[:4] == samples and length == 0xFFFFFFFF and long:
                return at + 8 + long > size + 1
            if chunk[:4] == samples:
                return 0 < length < _STREAMED and at + 8 + length > size + 1  # a byte of padding may be missing
            at += 8 + length + length % 2
    return False


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
