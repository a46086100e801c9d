"""Segments of long recordings: the same samples as in the whole file, little memory, and a sentence for bad times."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_prepare import write_with_av

from voicetune.data import headers, recordings, sounds
from voicetune.data.recordings import LONGEST, Unusable
from voicetune.data.utterance import Segment, Utterance

RATE = 48000


def melody(seconds: float, rate: int = RATE) -> np.ndarray:
    """Tones that rise, with noise, so that no two parts are alike: (samples,) float32."""
    times = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(1).standard_normal(times.size)
    return (0.3 * np.sin(2 * np.pi * (200 + 40 * times) * times) + 0.01 * noise).astype(np.float32)


def stereo(seconds: float) -> np.ndarray:
    one = melody(seconds)
    return np.stack([one, 0.5 * one[::-1]], axis=1)


def by_soundfile(format: str, subtype: str, sound: Callable[[float], np.ndarray] = melody) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with soundfile.SoundFile(path, "w", RATE, sound(0.1).ndim, subtype, format=format) as file:
            for block in np.array_split(sound(20), 40):  # libsndfile's Vorbis encoder puts a block on the stack
                file.write(block)

    return write


def without_count(path: Path) -> None:
    """An MP3 whose first frame, which counts the others, is gone."""
    by_soundfile("MP3", "MPEG_LAYER_III")(path)
    data = path.read_bytes()
    path.write_bytes(data[data.index(data[:2], 4) :])
    assert headers.counts_no_frames(path)


FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "WAV": ("a.wav", by_soundfile("WAV", "PCM_16")),
    "WAV, stereo": ("a.wav", by_soundfile("WAV", "PCM_24", stereo)),
    "WAV, float": ("a.wav", by_soundfile("WAV", "FLOAT")),
    "WAV, ADPCM": ("a.wav", by_soundfile("WAV", "IMA_ADPCM")),
    "AU, mu-law": ("a.au", by_soundfile("AU", "ULAW")),
    "CAF, ALAC": ("a.caf", by_soundfile("CAF", "ALAC_16")),
    "FLAC": ("a.flac", by_soundfile("FLAC", "PCM_16")),
    "FLAC, stereo": ("a.flac", by_soundfile("FLAC", "PCM_24", stereo)),
    "Ogg Vorbis": ("a.ogg", by_soundfile("OGG", "VORBIS")),
    "Ogg Opus": ("a.opus", lambda path: write_with_av(path, melody(20), RATE, "libopus")),
    "MP3": ("a.mp3", by_soundfile("MP3", "MPEG_LAYER_III")),
    "MP3 without a count": ("a.mp3", without_count),
    "m4a": ("a.m4a", lambda path: write_with_av(path, melody(20), RATE, "aac")),
    "WebM": ("a.webm", lambda path: write_with_av(path, melody(20), RATE, "libopus")),
}


@pytest.mark.parametrize("name", FILES)
def test_a_segment_has_the_samples_of_the_whole_file(tmp_path, name):
    file, write = FILES[name]
    path = tmp_path / file
    write(path)
    whole, rate = recordings.read(path)
    assert whole.size / rate == pytest.approx(20, abs=0.1)
    draw = np.random.default_rng(2)
    starts = [0.0, 19.5, *draw.uniform(0, 18, 8)]
    for start in starts:
        end = start + draw.uniform(0.1, 0.4)
        part, same_rate = recordings.read_segment(path, start, end)
        wanted = whole[round(start * rate) : round(end * rate)]
        assert same_rate == rate
        assert part.dtype == np.float32
        assert np.array_equal(part, wanted), f"{start} to {end}: {np.abs(part - wanted).max()}"


def long_file(path: Path) -> Path:
    """Longer than a recording may be, mono, 8,000 Hz; its first second is silent."""
    minute = melody(60, 8000)
    minute[:8000] = 0
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for number in range(12):
            file.write(minute * (1 + number) / 12)
    assert soundfile.info(path).duration > LONGEST
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_a_segment_of_a_long_file_takes_little_memory(tmp_path, name):
    path = long_file(tmp_path / name)
    with pytest.raises(Unusable, match="is longer than 600 s"):
        recordings.read(path)
    tracemalloc.start()
    try:
        part, _ = recordings.read_segment(path, 661.0, 662.0)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert part.size == 8000
    assert np.abs(part).max() > 0.2
    assert most < 12 * 2**20, "the whole file has 22 MiB of samples"


@pytest.mark.parametrize(("name", "begins"), [("a.wav", 661 * 8000), ("a.flac", 661 * 8000), ("a.mp3", 0)])
def test_where_seeking_is_exact_decoding_begins_at_the_segment(tmp_path, name, begins):
    pieces = recordings._by_soundfile(long_file(tmp_path / name), 661.0)
    assert next(pieces).at == begins
    assert next(pieces).at == begins


BAD = {
    "before the beginning": (-1.0, 1.0, "begins before the recording; correct its times"),
    "the end first": (2.0, 1.0, "from 2 to 1 s ends before it begins; correct its times"),
    "no length": (1.0, 1.0, "from 1 to 1 s has no length; correct its times"),
    "less than a sample": (1.0, 1.00001, "has no length"),
    "not a number": (float("nan"), 1.0, "begins before the recording"),
    "past the end": (1.0, 20.2, "from 1 to 20.2 s passes the end of the recording at 20.00 s; correct its times"),
    "wholly past the end": (20.06, 20.1, "passes the end of the recording at 20.00 s"),
    "hours past the end": (10000.0, 10001.0, "passes the end of the recording at 20.00 s"),
    "longer than a recording may be": (0.0, 601.0, "is longer than 600 s"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("file", ["WAV", "MP3", "m4a"])
def test_bad_times_are_one_sentence(tmp_path, name, file):
    start, end, wanted = BAD[name]
    path = tmp_path / FILES[file][0]
    FILES[file][1](path)
    length = recordings.read(path)[0].size / RATE
    with pytest.raises(Unusable) as error:
        recordings.read_segment(path, start, end)
    assert wanted.replace("20.00", f"{length:.2f}") in str(error.value)
    assert str(path) in str(error.value)
    assert error.value.kind == ("too long" if end > 600 and start < 1 else "bad segment")


def test_a_rounded_end_is_the_end(tmp_path):
    by_soundfile("WAV", "PCM_16")(tmp_path / "a.wav")
    whole, rate = recordings.read(tmp_path / "a.wav")
    part, _ = recordings.read_segment(tmp_path / "a.wav", 19.0, 20.05)
    assert np.array_equal(part, whole[19 * rate :])


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_what_is_left_of_a_cut_off_recording_can_be_used(tmp_path, name):
    path = long_file(tmp_path / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unusable):
        recordings.read(path)
    assert recordings.read_segment(path, 301.0, 302.0)[0].size == 8000
    with pytest.raises(Unusable) as error:
        recordings.read_segment(path, 661.0, 662.0)
    assert error.value.kind in ("cut off", "undecodable")


def test_channels_that_cancel_in_the_segment_are_not_averaged(tmp_path):
    one = melody(2)
    both = np.stack([one, np.concatenate([one[:RATE], -one[RATE:]])], axis=1)
    soundfile.write(tmp_path / "a.wav", both, RATE, subtype="FLOAT")
    part, _ = recordings.read_segment(tmp_path / "a.wav", 1.0, 2.0)
    assert np.array_equal(part, one[RATE:])


def test_an_utterance_can_be_a_segment(tmp_path):
    by_soundfile("FLAC", "PCM_16")(tmp_path / "a.flac")
    origin = Segment(tmp_path / "a.flac", 3.0, 4.5)
    part, rate = sounds.sound(Utterance("a", "Hello.", "en", "anna", "s", origin))
    assert np.array_equal(part, recordings.read(tmp_path / "a.flac")[0][3 * rate : int(4.5 * rate)])
