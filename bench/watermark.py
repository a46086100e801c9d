"""Measure the watermark (`say --watermark`): how surely it is found, what it costs, and what it does to the speech.

    python bench/watermark.py models/voice --recorded data/clips --out work/watermark.json

The model speaks the lines of bench/lines.txt. Each line, with and without a watermark, then goes through what happens
to sound files. The command prints how many are found to bear the watermark; the same of recordings without one (all
sound files below --recorded); the seconds that marking and finding take for each second of sound; and CER, SECS and MOS
with the differences and their 95 % intervals over the lines. It needs the package resemble-perth (docs/speaking.md).
"""

import argparse
import io
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np

from voicetune import entry, files, terminal
from voicetune.data import audio, recordings
from voicetune.data.recordings import Unusable
from voicetune.errors import UserError
from voicetune.measures.intervals import paired_difference, share_interval
from voicetune.measures.naturalness import MosPredictor
from voicetune.measures.similarity import SpeakerEncoder, reference_embedding, secs
from voicetune.recognition.intelligibility import character_errors
from voicetune.recognition.recogniser import Recogniser
from voicetune.speech import say as speech
from voicetune.speech import watermark
from voicetune.speech.voice import Line, Voice

LINES = Path(__file__).with_name("lines.txt")
RESAMPLES = 10_000
SOUNDS = (".wav", ".flac", ".g722", ".mp3", ".ogg", ".opus")
Sound = tuple[np.ndarray, int]
"""(samples,) float32, and the rate in Hz."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=Path("models/voice"))
    parser.add_argument("--speaker")
    parser.add_argument("--first", type=int, help="so many lines (all)")
    parser.add_argument("--recorded", type=Path, nargs="*", default=[], help="folders of recordings")
    parser.add_argument("--most", type=int, default=300, help="recordings of each folder, spread evenly (300)")
    parser.add_argument("--shortest", type=float, default=1.0, help="seconds; shorter recordings are left out (1)")
    parser.add_argument("--asr", default="tiny.en")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a JSON file for every confidence")
    return parser.parse_args()


def through(container: str, codec: str, rate: int, kilobits: int) -> Callable[[Sound], Sound]:
    """What a lossy codec leaves of a sound. rate: Hz, at which it is encoded."""

    def change(sound: Sound) -> Sound:
        samples, file = resampled(sound, rate)[0], io.BytesIO()
        with av.open(file, "w", format=container) as out:
            stream: Any = out.add_stream(codec, rate=rate, layout="mono")
            stream.bit_rate = kilobits * 1000
            integers = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(integers[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            for one in (frame, None):
                out.mux(stream.encode(one))
        file.seek(0)
        with av.open(file, "r") as found:
            resampler = av.AudioResampler("flt", "mono")
            frames: Any = found.decode(audio=0)
            pieces = [piece.to_ndarray()[0] for one in frames for piece in resampler.resample(one)]
        return np.concatenate(pieces), rate

    return change


def resampled(sound: Sound, rate: int) -> Sound:
    return audio.resample(sound[0], sound[1], rate).astype(np.float32), rate


def noisy(sound: Sound) -> Sound:
    """White noise 20 dB below the sound."""
    noise = np.random.default_rng(1).standard_normal(len(sound[0])) * np.sqrt(np.mean(np.square(sound[0])) / 100)
    return (sound[0] + noise).astype(np.float32), sound[1]


CHANGES: dict[str, Callable[[Sound], Sound]] = {
    "none": lambda sound: sound,
    "MP3, 128 kbit/s": through("mp3", "libmp3lame", 44_100, 128),
    "MP3, 64 kbit/s": through("mp3", "libmp3lame", 44_100, 64),
    "Opus, 24 kbit/s": through("ogg", "libopus", 48_000, 24),
    "resampled to 16 kHz": lambda sound: resampled(sound, 16_000),
    "resampled to 8 kHz": lambda sound: resampled(sound, 8_000),
    "the first half": lambda sound: (sound[0][: len(sound[0]) // 2], sound[1]),
    "a tenth as loud": lambda sound: (sound[0] / 10, sound[1]),
    "noise at -20 dB": noisy,
    "played 10 % faster": lambda sound: (sound[0], round(sound[1] * 1.1)),
    "played 20 % slower": lambda sound: (sound[0], round(sound[1] * 0.8)),
}


def main() -> None:
    given = arguments()
    watermark.open_networks()
    said, lines = spoken(given)
    begun = time.perf_counter()
    marked = [(speech.finish(sound, rate, marked=True), rate) for sound, rate in said]
    adding = time.perf_counter() - begun
    sets = {"marked": marked, "spoken": said}
    for folder in given.recorded:
        sets[str(folder)] = recorded(folder, given.most, given.shortest)
    sure: dict[str, dict[str, list[float]]] = {}
    for name, sounds in sets.items():
        sure[name] = confidences(sounds, name)
        report(name, sounds, sure[name])
    begun = time.perf_counter()
    for one in said:
        watermark.find(*one)
    seconds = sum(len(sound) / rate for sound, rate in said)
    costs = {"seconds": round(seconds, 1), "marking": round(adding / seconds, 4)}
    print(json.dumps(costs | {"finding": round((time.perf_counter() - begun) / seconds, 4)}))
    print(json.dumps(effects(said, marked, lines, given)))
    if given.out:
        files.put(given.out, (json.dumps(sure) + "\n").encode())


def spoken(given: argparse.Namespace) -> tuple[list[Sound], list[Line]]:
    """The lines that the model says anything for, without a watermark."""
    voice = Voice(given.model)
    lines = [Line(text, "en") for text in LINES.read_text(encoding="utf-8").splitlines()][: given.first]
    speakers = [voice.speaker(given.speaker)] * len(lines)
    every = zip(speech.say(voice, lines, speakers, voice.decoding(), given.seed), lines, strict=True)
    kept = [(one.sound, line) for one, line in every if one.sound.size]
    return [(sound, voice.rate) for sound, _ in kept], [line for _, line in kept]


def recorded(folder: Path, most: int, shortest: float) -> list[Sound]:
    """Recordings of a folder, without those that are short or cannot be read."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SOUNDS)
    if not paths:
        raise UserError(f"{folder} has no sound files; give another folder as --recorded.")
    found: list[Sound] = []
    for path in paths[:: -(-len(paths) // most)]:
        with suppress(Unusable):
            sound = recordings.read(path)
            found += [sound] if len(sound[0]) >= shortest * sound[1] else []
    return found


def confidences(sounds: Sequence[Sound], name: str) -> dict[str, list[float]]:
    """For each change, how sure it is that each sound bears the watermark."""
    every = [[watermark.find(*change(one)) for change in CHANGES.values()]
             for one in terminal.track(sounds, name, len(sounds))]  # fmt: skip
    return dict(zip(CHANGES, map(list, zip(*every, strict=True)), strict=True))


def report(name: str, sounds: Sequence[Sound], sure: dict[str, list[float]]) -> None:
    """Print how many sounds of a set are found to bear the watermark, after each change."""
    minutes = round(sum(len(sound) / rate for sound, rate in sounds) / 60, 1)
    for change, values in sure.items():
        count = sum(one >= watermark.CONFIDENT for one in values)
        share = share_interval(count / len(values), len(values))
        row = {
            "sounds": name, "minutes": minutes, "change": change, "found": count, "of": len(values),
            "share": [round(one, 4) for one in (share.mean, share.low, share.high)],
            "lowest": round(min(values), 3), "highest": round(max(values), 3),
        }  # fmt: skip
        print(json.dumps(row), flush=True)


def effects(said: list[Sound], marked: list[Sound], lines: list[Line], given: argparse.Namespace) -> dict[str, object]:
    """CER, SECS to the other lines without a watermark, and MOS, without and with a watermark, and the differences."""
    reader, encoder, predictor = Recogniser(given.asr, "en", "cpu"), SpeakerEncoder(), MosPredictor()
    errors: list[list[int]] = [[], []]
    voices: list[list[np.ndarray | None]] = [[], []]
    mos: list[list[float]] = [[], []]
    characters: list[int] = []
    below: list[float] = []
    for line, *both in terminal.track(zip(lines, said, marked, strict=True), "measuring", len(lines)):
        for side, (sound, rate) in enumerate(both):
            wrong, count = character_errors(line.text, reader.transcribe(sound, rate), line.language)
            errors[side].append(wrong)
            voices[side].append(encoder.embed(sound, rate))
            mos[side].append((predictor.predict(sound, rate) or (1.0,))[0])
        characters.append(count)
        (plain, _), (with_mark, _) = both
        below.append(10 * np.log10(np.sum(np.square(plain)) / np.sum(np.square(with_mark - plain))))
    known = [i for i in range(len(lines)) if all(side[i] is not None for side in voices)]
    like = [[_secs(voices, side, i, known) for i in known] for side in (0, 1)]
    rows: dict[str, tuple[Any, Any]] = {
        "CER": (errors, characters),
        "SECS": (like, np.ones(len(known))),
        "MOS": (mos, np.ones(len(lines))),
    }
    found: dict[str, object] = {"lines": len(lines), "dB below the speech": round(float(np.median(below)), 1)}
    for name, ((plain, with_mark), counts) in rows.items():
        change = paired_difference(plain, with_mark, counts, RESAMPLES, given.seed)
        values = [sum(plain) / sum(counts), sum(with_mark) / sum(counts), change.mean, change.low, change.high]
        found[name] = [round(float(one), 4) for one in values]
    return found


def _secs(voices: list[list[np.ndarray | None]], side: int, i: int, known: list[int]) -> float:
    """The SECS of a line to the mean voice of the other lines without a watermark."""
    others = [one for j in known if j != i and (one := voices[0][j]) is not None]
    own = voices[side][i]
    assert own is not None
    return secs(own, reference_embedding(others))


if __name__ == "__main__":
    entry.run(main)
