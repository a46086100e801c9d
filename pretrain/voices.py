"""The voices that the base learns from, and how each speaks a text: Kokoro's, flite's and espeak-ng's.

A voice is drawn from its number alone. Sound that is played faster or slower sounds like another vocal tract at another
pitch. Each voice of Kokoro and flite has its own factor for that, and a speed that gives it an ordinary speaking rate.
"""

import math
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import kokoro
import numpy as np
import soundfile
import soxr

from voicetune.data import audio, espeak
from voicetune.errors import UserError

FLITE = ("awb", "rms", "slt")  # voices built from recorded speech, in Debian's package flite
TRIM_DB = 45
RATE = 22050


@dataclass(frozen=True)
class Spoken:
    """One utterance, cleaned.

    samples: (n,) float32 at 22,050 Hz. words: place in the text and first second of each stretch of words. sounds:
    number and first second of each of Kokoro's symbols. Both are empty if the synthesiser does not report them.
    """

    samples: np.ndarray
    words: list[list[float]]
    sounds: list[list[float]]


@dataclass(frozen=True)
class Voice:
    """kind: `kokoro`, `flite` or `espeak`. number: from 0, among the voices of that kind."""

    kind: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.kind}{self.number:02d}"

    def speak(self, text: str, hurry: float) -> Spoken:
        """Speak a text. hurry: 1.05 is a twentieth faster than the voice usually speaks.

        Raises:
            UserError: the synthesiser is not installed.
        """
        return {"kokoro": _kokoro, "flite": _flite, "espeak": _espeak}[self.kind](self.number, text, hurry)


def shifted(spoken: Spoken, number: int, copy: int) -> Spoken:
    """Make an utterance in one more voice: play it faster or slower by a factor of 1.06 to 1.17.

    The factor is drawn from the numbers of the voice and of the copy.
    """
    factor = math.exp(np.random.default_rng([3, number, copy]).uniform(0.06, 0.16))
    factor = factor if (number + copy) % 2 else 1 / factor
    samples = soxr.resample(spoken.samples, RATE * factor, RATE)
    samples *= 0.95 / max(0.95, float(np.abs(samples).max()))
    moved = [[[what, round(second / factor, 4)] for what, second in timed] for timed in (spoken.words, spoken.sounds)]
    return Spoken(samples, *moved)


def every(counts: dict[str, int]) -> list[Voice]:
    """List all voices. counts: how many of each kind."""
    return [Voice(kind, number) for kind, count in counts.items() for number in range(count)]


def _kokoro(number: int, text: str, hurry: float) -> Spoken:
    rng = np.random.default_rng([1, number])
    weights = dict(zip(kokoro.STYLES, rng.dirichlet([0.5] * len(kokoro.STYLES)).tolist(), strict=True))
    factor, speed = _factor(rng, 0.82, 1.18), rng.uniform(0.92, 1.12)
    sound, words, symbols = kokoro.say(text, kokoro.mixed(weights), float(speed * hurry / factor))
    return cleaned(sound, kokoro.RATE, factor, words, symbols)


def _flite(number: int, text: str, hurry: float) -> Spoken:
    if shutil.which("flite") is None:
        raise UserError("flite is not installed; install it (on Debian and Ubuntu: apt install flite).")
    rng = np.random.default_rng([2, number])
    factor, speed = _factor(rng, 0.87, 1.15), rng.uniform(0.87, 1.05)
    stretch = f"duration_stretch={factor / (speed * hurry):.3f}"
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "said.wav"
        voice = FLITE[number % len(FLITE)]
        subprocess.run(["flite", "-voice", voice, "--setf", stretch, "-t", text, "-o", file], check=True)
        sound, rate = soundfile.read(file, dtype="float32")
    return cleaned(sound, rate, factor, [], [])


def _espeak(number: int, text: str, hurry: float) -> Spoken:
    variants = ("en-us", "en-us+m3", "en-us+m4", "en-us+m6", "en-us+m7", "en-us+f2")
    sound, words = espeak.speak_timed(text, variants[number % len(variants)], round(150 * hurry))
    timed = [[place, sample / espeak.SAMPLE_RATE] for place, sample in words]
    return cleaned(sound, espeak.SAMPLE_RATE, 1.0, timed, [])


def _factor(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def cleaned(sound: np.ndarray, rate: int, factor: float, words: list[list[float]], sounds: list[list[float]]) -> Spoken:
    """Play a recording `factor` times as fast, clean it as `prepare` does, and shift the times of words and sounds."""
    played = soxr.resample(sound.astype(np.float32), rate * factor, rate) if factor != 1 else sound
    begin = audio.trim_bounds(soxr.resample(played, rate, RATE), TRIM_DB)[0] / RATE
    samples = audio.clean(played, rate, trim_db=TRIM_DB, loudness=-23, peak=0.95)
    moved = [[[what, round(second / factor - begin, 4)] for what, second in timed] for timed in (words, sounds)]
    return Spoken(samples, [[place, max(0.0, second)] for place, second in moved[0]], moved[1])
