"""Builds the blind listening page, one file with all sounds at one loudness, and a key file that says who spoke what.

Listeners compare pairs, with ties allowed. They also rate single sounds in the five categories of ITU-T P.800 (annex
B). The recordings are among these sounds as a hidden anchor (ITU-R BS.1534). There is no ABX test: two takes of a
sentence differ in timing, so a listener always recognises a repeated take, whichever model spoke it.
"""

import base64
import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from voicetune import files, pages
from voicetune.data import audio
from voicetune.errors import UserError
from voicetune.measures import takes
from voicetune.measures.compared import RATED

PAGE, KEY = "index.html", "key.json"
LOUDNESS = -23.0  # LUFS (EBU R 128), the loudness of the clips
QUIETEST = -33.0  # LUFS: a sound with high peaks may lower the others to this level, but no further
PEAK = 0.98
_TEMPLATES = Path(__file__).with_name("templates")
_THINKING = 5.0  # seconds per trial, in addition to its sounds, each played one and a half times


@dataclass(frozen=True)
class Built:
    """What was written. minutes: a listener's time, roughly. quieter: number of sounds below the common loudness."""

    path: Path
    page: str
    comparisons: int
    ratings: int
    minutes: int
    quieter: int


def pairs(published: str) -> list[tuple[str, str]]:
    """The pairs of rows to compare: the two phases, base and published model, published model and recordings."""
    wanted = [("phase1", "phase2"), ("base", published), (published, "recordings")]
    return [(first, second) for first, second in wanted if first != second]


def build(spoken: Path, out: Path, published: str, sentences: int, seed: int) -> Built:
    """Write `index.html` and `key.json` into `out`. The same sounds give the same bytes.

    Args:
        spoken: holds <row>/takes.csv and <row>/<id>.flac, as `speak` and `ceiling` write them.
        published: the model that is compared with base and recordings.
        sentences: how many sentences to use; all, if there are fewer.
        seed: of the choice of sentences.

    Raises:
        UserError: a sound is missing or damaged, nothing was spoken, or `out` is a link or cannot be written.
    """
    for place in (out / PAGE, out / KEY):
        files.check_own(place)
    chosen = _sentences(spoken, sentences, seed)
    names = [(row, sentence) for sentence in chosen for row in RATED]
    levelled, rate, quieter = _levelled([takes.read_sound(spoken / row, sentence, 0) for row, sentence in names])
    flacs = [_flac(one, rate) for one in levelled]
    salt = hashlib.sha256(b"".join(flacs)).hexdigest()
    ids = {name: _opaque(salt, *name) for name in names}
    compared = [[ids[first, s], ids[second, s]] for s in chosen for first, second in pairs(published)]
    rated = [[ids[row, s]] for s in chosen for row in RATED]
    trials = {_opaque(salt, *trial): trial for trial in compared + rated}
    page = _opaque(salt, *sorted(trials))
    key = {"page": page, "sounds": {ids[name]: _who(spoken, *name) for name in names}, "trials": trials}
    seconds = {ids[name]: len(sound) / rate for name, sound in zip(names, levelled, strict=True)}
    minutes = _minutes([[seconds[id] for id in trial] for trial in trials.values()])
    contents = {
        id: {**chosen[name[1]], "flac": base64.b64encode(flac).decode()}
        for (name, id), flac in zip(ids.items(), flacs, strict=True)
    }
    html = _html(page, contents, trials, minutes)
    with files.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    files.put_all({out / PAGE: html.encode(), out / KEY: (json.dumps(key, indent=2) + "\n").encode()})
    return Built(out / PAGE, page, len(compared), len(rated), minutes, quieter)


def _who(spoken: Path, row: str, sentence: str) -> dict[str, str]:
    """The key's entry for a sound, see `results.Sound`."""
    return {"row": row, "sentence": sentence, "sha256": _sha256(spoken / row / takes.file_of(sentence, 0))}


def match_loudness(sounds: Sequence[np.ndarray], rate: int) -> tuple[list[np.ndarray], int]:
    """Bring sounds to one loudness (ITU-R BS.1770): the highest, up to -23 LUFS, at which no peak exceeds 0.98.

    The common loudness is at least -33 LUFS. A sound whose peaks would exceed 0.98 even there gets less gain, and
    is then quieter than the others. A sound shorter than 0.4 s is repeated to measure its loudness. Silence stays as it
    is.

    Args:
        sounds: each (samples,), any level.
        rate: Hz.

    Returns:
        the sounds, each (samples,) float64, and how many of them are quieter than the others.
    """
    measured = [audio.loudness_of(sound, rate) for sound in sounds]
    peaks = [20 * math.log10(max(float(np.abs(sound).max(initial=0)), 1e-9) / PEAK) for sound in sounds]
    headroom = [m - p for m, p in zip(measured, peaks, strict=True) if math.isfinite(m)]
    common = max(min([LOUDNESS, *headroom]), QUIETEST)
    gains = [min(common - m, -p) if math.isfinite(m) else min(0.0, -p) for m, p in zip(measured, peaks, strict=True)]
    quieter = sum(math.isfinite(m) and -p < common - m - 0.1 for m, p in zip(measured, peaks, strict=True))
    return [sound * 10 ** (gain / 20) for sound, gain in zip(sounds, gains, strict=True)], quieter


def _levelled(read: list[tuple[np.ndarray, int]]) -> tuple[list[np.ndarray], int, int]:
    """Bring sounds to one loudness and to the highest of their sample rates, so that neither reveals a row."""
    rate = max(rate for _, rate in read)
    resampled = [audio.resample(samples, own, rate) for samples, own in read]
    nothing = np.zeros(rate // 4)  # stands in for a take in which a model said nothing
    sounds, quieter = match_loudness([one if one.size > rate // 100 else nothing for one in resampled], rate)
    return sounds, rate, quieter


def _sentences(spoken: Path, count: int, seed: int) -> dict[str, dict[str, str]]:
    """Choose among the sentences that every row has: their text and language, by id."""
    tables = [
        {take.id: {"text": take.text, "language": take.language} for take in takes.index(spoken / row)} for row in RATED
    ]
    common = sorted(set(tables[0]).intersection(*tables[1:]))
    if not common:
        raise UserError(f"{spoken} has no sentence that every model spoke; raise speak.sentences and `dvc repro`.")
    drawn = np.random.default_rng([seed, 8]).permutation(len(common))[:count]
    return {common[i]: tables[0][common[i]] for i in sorted(drawn)}


def _minutes(trials: list[list[float]]) -> int:
    return math.ceil((1.5 * sum(chain(*trials)) + _THINKING * len(trials)) / 60)


def _flac(sound: np.ndarray, rate: int) -> bytes:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, sound, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _opaque(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:12]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _html(page: str, sounds: dict[str, Any], trials: dict[str, list[str]], minutes: int) -> str:
    """The page. Sounds, trials and the sides of a pair are sorted by id, so their order reveals nothing."""
    listed = [{"id": id, "sounds": sorted(trial)} for id, trial in sorted(trials.items())]
    test = {
        "page": page,
        "sounds": dict(sorted(sounds.items())),
        "comparisons": [trial for trial in listed if len(trial["sounds"]) == 2],
        "ratings": [trial for trial in listed if len(trial["sounds"]) == 1],
        "minutes": minutes,
    }
    return pages.render(_TEMPLATES, "listen", test=test)
