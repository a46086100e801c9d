"""Stage speech: sentences from the grammar, spoken by espeak-ng, as clips with a manifest."""

from concurrent.futures import ProcessPoolExecutor

import common
import grammar
import numpy as np
from rich.progress import track

from voicetune.data import audio, clip
from voicetune.data.clip import Clip
from voicetune.data.espeak import SAMPLE_RATE, speak

OUT = common.WORK / "clips"


def texts(settings: dict, seed: int) -> list[str]:
    """Different sentences, drawn from the grammar's start symbols by their shares."""
    rules = grammar.read(common.HERE / "grammar.txt")
    rng = np.random.default_rng(seed)
    kinds, shares = list(settings["mix"]), np.array(list(settings["mix"].values()))
    found: dict[str, None] = {}
    while len(found) < settings["clips"]:
        found.setdefault(grammar.generate(rules, str(rng.choice(kinds, p=shares)), rng))
    return list(found)


def make(job: tuple[int, str, str, str, int]) -> Clip:
    number, text, voice, split, rate = job
    samples = audio.clean(speak(text, voice, rate), SAMPLE_RATE, trim_db=45, loudness=-23, peak=0.95)
    name = f"{number:05d}"
    audio.write(OUT / f"{name}.flac", samples)
    return Clip(name, f"{name}.flac", text, "en", voice, "grammar", round(samples.size / SAMPLE_RATE, 3), split)


def main() -> None:
    params = common.params()
    settings, seed = params["speech"], params["seed"]
    voices = settings["voices"]
    jobs = [
        (i, text, voices[i % len(voices)], "held_out" if i < settings["held_out"] else "train", settings["rate"])
        for i, text in enumerate(texts(settings, seed))
    ]
    with ProcessPoolExecutor() as pool:
        made = list(track(pool.map(make, jobs, chunksize=32), "speaking", len(jobs)))
    kept = [c for c in made if 0.5 <= c.seconds <= 11.6]
    clip.write(OUT / "clips.csv", kept)
    print(f"{len(kept)} clips, {sum(c.seconds for c in kept) / 3600:.2f} h, {len(made) - len(kept)} left out")


if __name__ == "__main__":
    common.run(main)
