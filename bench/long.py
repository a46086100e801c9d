"""Measure stage transcribe on long recordings glued together from Asterisk's prompts, whose texts and pauses are known.

    apt-get download asterisk-core-sounds-en asterisk-core-sounds-en-g722     # on Debian or Ubuntu
    python bench/long.py asterisk-core-sounds-en*.deb --asr tiny.en --out work/long-en

The prompts stand in a random order, with pauses of 0.3 to 1.5 s and a hum 60 dB below full scale. `--transcript` puts
the texts beside the recording, of which one in ten is the text of another prompt. `--other` adds prompts of a second
speaker, and keeps the first one by a sample. `--spread` makes a very long m4a, with the recording again and again. The
command prints the figures of bench/long.md as JSON.
"""

import argparse
import itertools
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import psutil
import soundfile
from asterisk import RATE, SPEAKERS, decoded, recordings, transcripts, unpacked

from voicetune import entry
from voicetune.data import audio, cut
from voicetune.data import recordings as sounds
from voicetune.data.readers.long import LongSource
from voicetune.params.data import Prepare
from voicetune.params.transcribing import Transcribe
from voicetune.params.unlisted import Unlisted
from voicetune.recognition.intelligibility import character_errors
from voicetune.transcripts import making

PAUSES = 0.3, 1.5  # seconds
LOUD = -35  # dB below the loudest moment of a prompt: a cut at a louder moment is inside a word
HUM = 0.001  # of full scale
WRONG = 10  # one in so many texts of a spoiled transcript is another prompt's


class Prompt(NamedTuple):
    """A prompt in the recording. start, end: seconds of its sound, without silence at its ends."""

    text: str
    start: float
    end: float
    sound: np.ndarray
    other: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, nargs="+", help="the .deb files, or folders they are unpacked in")
    parser.add_argument("--out", type=Path, required=True, help="the workplace")
    parser.add_argument("--language", choices=sorted(SPEAKERS), default="en")
    parser.add_argument("--asr", required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--repeat", type=int, default=1, help="how often the prompts come again, for a long recording")
    parser.add_argument("--spread", type=float, help="minutes from one repetition to the next, hum between; as an m4a")
    parser.add_argument("--transcript", action="store_true")
    parser.add_argument("--other", type=Path, nargs="+", help="packages of another speaker")
    parser.add_argument("--other-language", choices=sorted(SPEAKERS), default="fr")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    speech = chosen(given.packages, given.out, given.language, given.minutes, rng)
    speech *= 1 if given.spread else given.repeat
    strange = chosen(given.other, given.out, given.other_language, given.minutes / 2, rng) if given.other else []
    given.out.mkdir(parents=True, exist_ok=True)
    os.chdir(given.out)
    folder = Path("data/raw/long")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "talk.m4a").unlink(missing_ok=True)
    prompts = glue(speech, strange, folder / "talk.wav", rng)
    if given.spread:
        prompts = spread(prompts, folder / "talk.wav", given.repeat, given.spread)
    wrong: set[int] = set()
    (folder / "talk.txt").unlink(missing_ok=True)
    if given.transcript:
        wrong = write_transcript(prompts, folder / "talk.txt")
    if strange:
        soundfile.write(folder / "sample.wav", np.concatenate([sound for _, sound in speech[:4]]), RATE)
    source = LongSource(
        name="long", reader="long", path=str(folder), speaker="a", language=given.language,
        keep_speaker="sample.wav" if strange else None,
    )  # fmt: skip
    prepare = Prepare(
        sources=[source], validation=0.1, test=0.1, min_seconds=0.5, max_seconds=11.6, trim_db=45, loudness=-23,
        peak=0.95,
    )  # fmt: skip
    settings = Transcribe(asr=given.asr, agreement=0.7, speaker_similarity=0.8)
    here = Unlisted(jobs=0, engine="local", ray_address=None, max_restarts=0)
    begun, memory = time.monotonic(), Memory()
    made = making.make_all([source], prepare, settings, given.device, here)
    seconds = time.monotonic() - begun
    mebibytes = memory.stop()
    figures = measure(made[0], prompts, wrong, given.language)
    figures |= own_errors(prompts[: len(prompts) // given.repeat], given.asr, given.language, given.device)
    if strange:
        strict = settings.model_copy(update={"speaker_similarity": 1.0})  # all is left out, with its similarity
        figures |= similarities(making.make_all([source], prepare, strict, given.device, here)[0], prompts)
    print(json.dumps({"seconds": round(seconds, 1), "MiB": mebibytes, **figures}, indent=2))


class Memory:
    """The most memory that this process takes from now on."""

    def __init__(self):
        self.most, self.ended = 0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.ended.wait(0.1):
            self.most = max(self.most, psutil.Process().memory_info().rss)

    def stop(self) -> int:
        """End, and return the most MiB."""
        self.ended.set()
        self.thread.join()
        return round(self.most / 2**20)


def chosen(packages: list[Path], out: Path, language: str, minutes: float, rng) -> list[tuple[str, np.ndarray]]:
    """Texts and sounds of prompts of two words and more, in a random order, until there is enough."""
    if (packages[0] / "metadata.csv").exists():
        return read_ljspeech(packages[0], minutes)
    folders = [unpacked(package, out / "packages") for package in packages]
    texts = {name: text for folder in folders for name, text in transcripts(folder, language).items()}
    paths = recordings(folders, language)
    names = [name for name in sorted(texts.keys() & paths.keys()) if len(texts[name].split()) > 1]
    found: list[tuple[str, np.ndarray]] = []
    for i in rng.permutation(len(names)):
        sound = decoded(paths[names[i]]).astype(np.float32) / 32768
        start, end = audio.trim_bounds(sound, 45, 0.0, RATE)
        if 0.8 <= (end - start) / RATE <= 11:
            found.append((texts[names[i]], sound[start:end]))
        if sum(len(one) for _, one in found) > minutes * 60 * RATE:
            break
    return found


def read_ljspeech(folder: Path, minutes: float) -> list[tuple[str, np.ndarray]]:
    """Texts and sounds of a folder in LJSpeech's layout, from the first one until there is enough."""
    found: list[tuple[str, np.ndarray]] = []
    for row in (folder / "metadata.csv").read_text(encoding="utf-8").splitlines():
        id, text = row.split("|")
        sound, rate = sounds.read(next((folder / "wavs").glob(f"{id}.*")))
        found.append((text, audio.trim(audio.resample(sound, rate, RATE), 45, 0.0, RATE)))
        if sum(len(one) for _, one in found) > minutes * 60 * RATE:
            break
    return found


def glue(speech: list, strange: list, path: Path, rng) -> list[Prompt]:
    """Write the prompts as one recording."""
    prompts, at, sounds = [], 1.0, [np.zeros(RATE, np.float32)]
    every = [(*one, False) for one in speech] + [(*one, True) for one in strange]
    if strange:
        every = [every[i] for i in rng.permutation(len(every))]
    for text, sound, other in every:
        prompts.append(Prompt(text, at, at + len(sound) / RATE, sound, other))
        pause = np.zeros(round(rng.uniform(*PAUSES) * RATE), np.float32)
        sounds += [sound, pause]
        at += (len(sound) + len(pause)) / RATE
    whole = np.concatenate(sounds)
    hum = HUM * rng.standard_normal(len(whole)).astype(np.float32)
    soundfile.write(path, np.clip(whole + hum, -1, 1), RATE)
    return prompts


def spread(prompts: list[Prompt], path: Path, times: int, minutes: float) -> list[Prompt]:
    """Replace the recording by an m4a that has it so often, every so many minutes, with a hum between."""
    talk, _ = soundfile.read(path, dtype="float32")
    path.unlink()
    rng, at = np.random.default_rng(2), 0
    with av.open(str(path.with_suffix(".m4a")), "w") as file:
        stream = file.add_stream("aac", rate=RATE, layout="mono")
        for _ in range(times):
            rest = round(minutes * 60 * RATE) - len(talk)
            hums = (HUM * rng.standard_normal(min(rest - i, 60 * RATE)) for i in range(0, rest, 60 * RATE))
            for samples in itertools.chain([talk], hums):
                frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
                file.mux(stream.encode(frame))
                at += len(samples)
        file.mux(stream.encode(None))
    later = [60 * minutes * i for i in range(times)]
    return [one._replace(start=one.start + by, end=one.end + by) for by in later for one in prompts]


def write_transcript(prompts: list[Prompt], path: Path) -> set[int]:
    """Write the texts in their order, some of them wrong, and return which."""
    wrong = set(range(5, len(prompts) - 1, WRONG))
    texts = [prompts[(i + 7) % len(prompts)].text if i in wrong else one.text for i, one in enumerate(prompts)]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return wrong


def measure(made: making.Made, prompts: list[Prompt], wrong: set[int], language: str) -> dict:
    """Compare the clips with the prompts."""
    edges = [edge for one in made.cuts for edge in (one.start, one.end)]
    inside = [edge for edge in edges if any(is_inside(edge, prompt) for prompt in prompts)]
    own = [i for i, prompt in enumerate(prompts) if not prompt.other]
    kept = {i: covered(prompts[i], made.cuts) for i in range(len(prompts))}
    right = [i for i in own if i not in wrong]
    errors, characters = text_errors(
        made.cuts, prompts, {i for i, share in kept.items() if share > 0.95} - wrong, language
    )
    seconds = {i: prompts[i].end - prompts[i].start for i in kept}
    found = {
        "prompts": len(prompts),
        "clips": len(made.cuts),
        "minutes": round(made.file.seconds / 60, 2),
        "cuts_inside_a_word": len(inside),
        "cuts": len(edges),
        "at": [round(one, 2) for one in inside],
        "speech_kept": round(sum(kept[i] * seconds[i] for i in right) / sum(seconds[i] for i in right), 4),
        "cer": round(errors / max(1, characters), 4),
        "characters": characters,
        "left_out": [(one.start, one.end, one.reason) for one in made.left_out],
        "mean_clip": round(float(np.mean([one.end - one.start for one in made.cuts])), 2),
    }
    if wrong:
        found["wrong_texts_left_out"] = [sum(kept[i] < 0.5 for i in wrong), len(wrong)]
    others = [i for i in kept if prompts[i].other]
    if others:
        found["other_kept"] = round(sum(kept[i] * seconds[i] for i in others) / sum(seconds[i] for i in others), 4)
    return found


def is_inside(edge: float, prompt: Prompt) -> bool:
    """Whether a cut lies in a prompt, where it is loud."""
    at = round((edge - prompt.start) * RATE)
    if not 0 < at < len(prompt.sound):
        return False
    size = RATE // 33
    levels = np.sqrt(np.convolve(np.square(prompt.sound), np.ones(size) / size, "same"))
    return bool(levels[at] > levels.max() * 10 ** (LOUD / 20))


def covered(prompt: Prompt, cuts: list[cut.Cut]) -> float:
    """The share of a prompt that is in clips."""
    inside = sum(max(0.0, min(one.end, prompt.end) - max(one.start, prompt.start)) for one in cuts)
    return inside / (prompt.end - prompt.start)


def text_errors(cuts: list[cut.Cut], prompts: list[Prompt], whole: set[int], language: str) -> tuple[int, int]:
    """Character errors and characters of the clips whose prompts are all in clips.

    Clips that share a prompt, and prompts that share a clip, are compared together.
    """
    errors = characters = 0
    of = [[i for i, p in enumerate(prompts) if min(one.end, p.end) - max(one.start, p.start) > 0.05] for one in cuts]
    groups: list[tuple[list[int], list[int]]] = []
    for number, inside in enumerate(of):
        if groups and set(groups[-1][1]) & set(inside):
            groups[-1] = ([*groups[-1][0], number], sorted({*groups[-1][1], *inside}))
        else:
            groups.append(([number], inside))
    for numbers, inside in groups:
        if set(inside) <= whole:
            said = " ".join(prompts[i].text for i in inside)
            wrong, count = character_errors(said, " ".join(cuts[i].text for i in numbers), language)
            errors, characters = errors + wrong, characters + count
            if wrong > 0.3 * count:
                print(f"differs: {said!r} / {[cuts[i].text for i in numbers]}")
    return errors, characters


def similarities(made: making.Made, prompts: list[Prompt]) -> dict:
    """The similarity of each phrase to the sample: quantiles for both speakers, and the errors of some thresholds."""
    found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for part in made.left_out:
        middle = (part.start + part.end) / 2
        spoken = [prompt.other for prompt in prompts if prompt.start <= middle <= prompt.end]
        if spoken and "similarity" in part.reason:
            found[spoken[0]].append((float(part.reason.split()[-1]), part.end - part.start))
    (own, own_seconds), (other, other_seconds) = (np.array(found[which]).T for which in (False, True))
    lengths = ((0.0, 1.5), (1.5, 3.0), (3.0, 99.0))
    return {
        "by_length": {
            f"{least:g} to {most:g} s": [
                np.quantile(one[(least <= s) & (s < most)], [0.02, 0.1, 0.5, 0.9, 0.98]).round(2).tolist()
                for one, s in ((own, own_seconds), (other, other_seconds))
                if ((least <= s) & (s < most)).any()
            ]
            for least, most in lengths
        },
        "similarity_own": np.quantile(own, [0, 0.01, 0.05, 0.5]).round(3).tolist(),
        "similarity_other": np.quantile(other, [0.5, 0.95, 0.99, 1]).round(3).tolist(),
        "thresholds": {
            f"{at:.2f}": [
                round(float(own_seconds[own < at].sum() / own_seconds.sum()), 4),
                round(float(other_seconds[other >= at].sum() / other_seconds.sum()), 4),
            ]
            for at in np.arange(0.55, 0.9, 0.05)
        },
    }


def own_errors(prompts: list[Prompt], asr: str, language: str, device: str) -> dict:
    """The recogniser's own CER, on each prompt by itself."""
    recogniser, errors, characters = making.open_recogniser(asr, language, device), 0, 0
    own = [prompt for prompt in prompts if not prompt.other]
    with ThreadPoolExecutor(recogniser.workers) as pool:
        recognised = list(pool.map(lambda prompt: recogniser.recognise(np.pad(prompt.sound, RATE // 4))[0], own))
    for prompt, words in zip(own, recognised, strict=True):
        wrong, count = character_errors(prompt.text, "".join(word.text for word in words), language)
        errors, characters = errors + wrong, characters + count
    return {"own_cer": round(errors / characters, 4), "own_characters": characters}


if __name__ == "__main__":
    entry.run(main)
