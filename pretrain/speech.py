"""Stages short, long and every: texts from the grammar, spoken by espeak-ng, as clips with a manifest.

Usage: python speech.py short | long | every
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import common
import grammar
import numpy as np
from rich.progress import track

from voicetune.data import audio, clip
from voicetune.data.clip import Clip
from voicetune.data.espeak import SAMPLE_RATE, speak_timed

TRIM_DB = 45
SHORTEST, LONGEST = 0.15, 11.6  # seconds; an "Up." takes 0.2


def texts(settings: dict) -> list[str]:
    """Different sentences, drawn from the grammar's start symbols by their shares."""
    rules = grammar.read(common.HERE / "grammar.txt")
    rng = np.random.default_rng(settings["seed"])
    kinds, shares = list(settings["mix"]), np.array(list(settings["mix"].values()))
    found: dict[str, None] = {}
    while len(found) < settings["clips"]:
        found.setdefault(grammar.generate(rules, str(rng.choice(kinds, p=shares)), rng))
    return list(found)


def make(job: tuple[Path, int, str, str, str, int]) -> tuple[Clip, list[list[float]]]:
    """One clip, and for each word its place in the text and its first moment in the clip (seconds)."""
    out, number, text, voice, split, rate = job
    spoken, words = speak_timed(text, voice, rate)
    begin = audio.trim_bounds(spoken, TRIM_DB)[0]
    samples = audio.clean(spoken, SAMPLE_RATE, trim_db=TRIM_DB, loudness=-23, peak=0.95)
    name = f"{number:05d}"
    audio.write(out / f"{name}.flac", samples)
    timed = [[place, round((sample - begin) / SAMPLE_RATE, 4)] for place, sample in words]
    return Clip(name, f"{name}.flac", text, "en", voice, "grammar", round(samples.size / SAMPLE_RATE, 3), split), timed


def main() -> None:
    params = common.params()["speech"]
    name = sys.argv[1]
    settings, voices = params[name], params["voices"]
    out = common.WORK / name / "clips"
    jobs = [
        (out, i, text, voices[i % len(voices)], "validation" if i < settings["validation"] else "train", params["rate"])
        for i, text in enumerate(texts(settings))
    ]
    with ProcessPoolExecutor() as pool:
        made = list(track(pool.map(make, jobs, chunksize=32), "speaking", len(jobs)))
    kept = [(c, words) for c, words in made if SHORTEST <= c.seconds <= LONGEST]
    clip.write(out / "clips.csv", [c for c, _ in kept])
    (out / "words.json").write_text(json.dumps({c.id: words for c, words in kept}))
    hours = sum(c.seconds for c, _ in kept) / 3600
    print(f"{len(kept)} clips, {hours:.2f} h, {len(made) - len(kept)} left out")


if __name__ == "__main__":
    common.run(main)
