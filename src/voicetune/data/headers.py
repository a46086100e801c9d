"""What the header of a sound file promises, where no decoder says that the file ends before that.

libsndfile and FFmpeg read a WAV that was cut off as if it ended there, and an Ogg file too. An MP3 whose header counts
no frames is measured by libsndfile as if its bit rate were constant, and then cut at that. FLAC, m4a and WebM say it
themselves: their decoders fail, or give less than the length in the header (see `audio.read`).
"""

from pathlib import Path

_STREAMED = 0x7FFF0000  # sizes from here on, and 0, are written by what did not know the size: it wrote into a pipe
_HEAD = 1 << 12
_PAGE = 65307  # bytes, the longest page of Ogg (RFC 3533)
_LAST = 4  # the flag of a stream's last page


def is_cut_off(path: Path) -> bool:
    """Whether a WAV, AIFF or Ogg file ends before its end: a chunk of samples that is longer than what is left of the
    file, or no page with the flag of the last one. Nothing is said of other files, and of what was streamed."""
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
            if chunk[:4] == b"ds64":  # RF64's sizes, of 8 bytes each: of the file, of the samples (EBU Tech 3306)
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
    """Whether this is an MP3 without the count of frames that a Xing, Info or VBRI header holds."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if head[:3] == b"ID3":
            tag = 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            file.seek(tag)
            head = file.read(_HEAD)
    is_mp3 = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 in (0xE2,)  # sync, layer III
    return is_mp3 and not any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))
