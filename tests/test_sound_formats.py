"""Every extension that readers take for a sound can be opened, whole and in part."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from test_prepare import frequency_of, tone

from voicetune.data import recordings
from voicetune.data.readers.lists import EXTENSIONS

BY_SOUNDFILE = {".wav": "WAV", ".flac": "FLAC", ".mp3": "MP3", ".aiff": "AIFF", ".aif": "AIFF", ".caf": "CAF",
                ".au": "AU", ".w64": "W64"}  # fmt: skip
BY_AV = {  # codec, rate, FFmpeg's name of the format
    ".ogg": ("libopus", 48000, "ogg"), ".oga": ("libopus", 48000, "ogg"), ".opus": ("libopus", 48000, "ogg"),
    ".m4a": ("aac", 48000, "ipod"), ".webm": ("libopus", 48000, "webm"), ".mp4": ("aac", 48000, "mp4"),
    ".mov": ("aac", 44100, "mov"), ".mkv": ("aac", 48000, "matroska"), ".aac": ("aac", 48000, "adts"),
    ".amr": ("libopencore_amrnb", 8000, "amr"), ".3gp": ("aac", 48000, "3gp"), ".wma": ("wmav2", 44100, "asf"),
    ".g722": ("g722", 16000, "g722"), ".gsm": ("gsm", 8000, "gsm"),
}  # fmt: skip
GSM = bytes.fromhex(
    "d820a2e15ac0600000000000000000000000000000000000000000000000000000"
)  # one frame of silence, 33 bytes


def encode(path: Path, seconds: float, codec: str, rate: int, format: str, picture: bool = False) -> None:
    """Write a tone of 440 Hz with FFmpeg's encoder, beside a black picture if asked."""
    with av.open(str(path), "w", format=format) as container:
        video = container.add_stream("mpeg4", rate=10) if picture else None
        stream = container.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 64000
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
            for _ in range(int(seconds * 10)):
                container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
            container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(tone(seconds, rate)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size or 0)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def check(path: Path, rate: int) -> None:
    whole, found = recordings.read(path)
    assert found == rate
    assert whole.size / rate == pytest.approx(3, abs=0.15)
    assert frequency_of(whole, rate) == pytest.approx(440, abs=3)
    part, found = recordings.read_segment(path, 1.0, 2.25)
    assert found == rate
    assert np.array_equal(part, whole[rate : round(2.25 * rate)])


@pytest.mark.parametrize("extension", [one for one in EXTENSIONS if one != ".gsm"])
def test_a_sound_is_read_whole_and_in_part(tmp_path, extension):
    path = tmp_path / f"a{extension}"
    if extension in BY_SOUNDFILE:
        soundfile.write(path, tone(3), 22050, format=BY_SOUNDFILE[extension])
        check(path, 22050)
    else:
        codec, rate, format = BY_AV[extension]
        if codec not in av.codecs_available:
            pytest.skip(f"this PyAV has no encoder for {extension}")
        encode(path, 3, codec, rate, format)
        check(path, rate)


def test_gsm_is_read(tmp_path):
    (tmp_path / "a.gsm").write_bytes(GSM * 50)
    whole, rate = recordings.read(tmp_path / "a.gsm")
    assert (whole.size, rate) == (8000, 8000)


@pytest.mark.parametrize(("extension", "format"), [(".mp4", "mp4"), (".mkv", "matroska")])
def test_the_sound_of_a_video_is_read(tmp_path, extension, format):
    path = tmp_path / f"film{extension}"
    encode(path, 3, "aac", 48000, format, picture=True)
    check(path, 48000)


@pytest.mark.parametrize("ending", ["wav", "mp3", "g722", "m4a", "opus"])
def test_an_empty_file_is_one_sentence(tmp_path, ending, capfd):
    """FFmpeg's reader printed a traceback for an empty g722 and mp3."""
    path = tmp_path / f"a.{ending}"
    path.touch()
    for read in (recordings.read, lambda one: list(recordings.stream(one))):
        with pytest.raises(recordings.Unusable, match=r"holds no samples; record it again or remove its row\.$"):
            read(path)
    assert capfd.readouterr().err == ""
