"""Cut-off files, in every format and encoding that libsndfile writes with a length in its header."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from voicetune.data import headers

RATE = 8000  # some encodings know no other
FORMATS = ("WAV", "WAVEX", "RF64", "AIFF", "AU", "CAF", "W64")
KINDS = [(format, subtype) for format in FORMATS for subtype in soundfile.available_subtypes(format)]


def write(path: Path, format: str, subtype: str, endian: str = "FILE") -> bytes:
    """A second of noise; an odd number of samples, so that chunks may be padded."""
    noise = np.random.default_rng(1).standard_normal(RATE + 1) / 10
    try:
        soundfile.write(path, noise, RATE, subtype=subtype, endian=endian, format=format)
    except soundfile.SoundFileError as error:
        pytest.skip(f"libsndfile does not write it: {error}")
    return path.read_bytes()


@pytest.mark.parametrize(("format", "subtype"), KINDS)
def test_a_whole_file_is_whole_and_a_cut_off_one_is_cut_off(tmp_path, format, subtype):
    path = tmp_path / "a.wav"
    data = write(path, format, subtype)
    assert not headers.is_cut_off(path)
    for share in (0.99, 0.9, 0.5):
        path.write_bytes(data[: int(share * len(data))])
        assert headers.is_cut_off(path), share


def test_an_au_of_either_byte_order(tmp_path):
    path = tmp_path / "a.au"
    for endian in ("BIG", "LITTLE"):
        data = write(path, "AU", "PCM_16", endian)
        assert not headers.is_cut_off(path)
        path.write_bytes(data[:-1])
        assert headers.is_cut_off(path)


STREAMED = {"AU": (8, 4), "WAV": (40, 4), "CAF": (None, 8), "W64": (None, 8)}


@pytest.mark.parametrize("format", STREAMED)
def test_a_file_that_was_streamed_has_no_length_and_is_not_cut_off(tmp_path, format):
    """Programs that write into a pipe leave the length of the samples at its largest value."""
    path = tmp_path / "a.wav"
    data = bytearray(write(path, format, "PCM_16"))
    at, size = STREAMED[format]
    if at is None:
        at = data.index(b"data") + (4 if format == "CAF" else 16)
    data[at : at + size] = b"\xff" * (size - 1) + (b"\x7f" if format == "W64" else b"\xff")
    path.write_bytes(data[: len(data) // 2])
    assert not headers.is_cut_off(path)
