"""Measure a base on voices that it never heard: its codec, how well it is understood, and how well it imitates.

    python bench/pretraining.py models/base VOICE [VOICE ...]

VOICE is a folder in LJSpeech's layout. The script prints a row for each voice: CER of Whisper tiny.en and SECS of the
recordings, of the recordings after the codec, and of the twenty lines of bench/everyday.txt in that voice with a
reference of 6 s; SECS of those lines with the voice of another row (a stranger), and the CER of short lines.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voicetune.data import audio, readers, sounds
from voicetune.data.clip import Clip
from voicetune.data.readers.ljspeech import LJSpeechSource
from voicetune.errors import UserError
from voicetune.measures import similarity
from voicetune.params.decoding import Decoding
from voicetune.recognition import intelligibility
from voicetune.recognition.recogniser import Recogniser
from voicetune.speech.voice import Line, Voice
from voicetune.xtts import codec

HERE = Path(__file__).resolve().parent
SHORT = ("Hello.", "Yes.", "Thank you.", "Good morning.", "Wait a moment.", "Seven.", "On Monday.", "Why not?")
REFERENCE = 6 * codec.SAMPLE_RATE
DECODING = Decoding(temperature=0.3, top_k=50, top_p=0.8, repetition_penalty=1.0)


def recordings(folder: Path, shortest: float) -> list[tuple[str, np.ndarray]]:
    """The texts and cleaned sounds of a folder's recordings of `shortest` to 11.6 s, in order."""
    source = LJSpeechSource(name="x", reader="ljspeech", path=str(folder), speaker="x", language="en")
    found = []
    for one in readers.read([source]):
        try:
            samples, rate = sounds.sound(one)
        except UserError:
            continue
        samples = audio.clean(samples, rate, trim_db=45, loudness=-23, peak=0.95)
        if shortest <= samples.size / codec.SAMPLE_RATE <= 11.6:
            found.append((one.text, samples))
    return found


def cer(ears: Recogniser, texts: list[str], sounds: list[np.ndarray], rate: int) -> float:
    """Character errors over characters."""
    pairs = [
        intelligibility.read(ears, Clip("x", "x", text, "en", "x", "x", 0.0, "test"), sound, rate)
        for text, sound in zip(texts, sounds, strict=True)
    ]
    return sum(p.character_errors for p in pairs) / sum(p.characters for p in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("voices", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tested", type=int, default=20, help="recordings of a voice that go through the codec")
    parser.add_argument("--shortest", type=float, default=1.5, help="seconds of a recording that is used")
    parser.add_argument("--lines", type=int, default=20, help="lines of each kind, at most")
    given = parser.parse_args()
    voice, ears, encoder = Voice(given.model), Recogniser("tiny.en", "en", "cpu"), similarity.SpeakerEncoder()
    lines = [line.partition("|")[2] for line in (HERE / "everyday.txt").read_text().splitlines()]
    lines, short = lines[: given.lines], list(SHORT[: given.lines])
    known: dict[str, np.ndarray] = {}
    said: dict[str, list[np.ndarray]] = {}

    def secs(sounds: list[np.ndarray], name: str, rate: int) -> float:
        return float(np.mean([similarity.secs(encoder.embed(sound, rate), known[name]) for sound in sounds]))

    print("| voice | recordings | through the codec | everyday lines | short lines |")
    print("| --- | --- | --- | --- | --- |")
    for folder in given.voices:
        name, clips = folder.name, recordings(folder, given.shortest)
        if len(clips) <= given.tested:
            raise UserError(f"{folder} has {len(clips)} usable recordings; give more, or a lower --tested.")
        apart = len(clips) // given.tested
        chosen = set(range(0, len(clips), apart)[: given.tested])
        tested = [clip for i, clip in enumerate(clips) if i in chosen]
        rest = [clip for i, clip in enumerate(clips) if i not in chosen]
        if not rest:
            raise UserError(f"{folder} has no recording left for a reference; give a lower --tested.")
        known[name] = similarity.reference_embedding([encoder.embed(s, codec.SAMPLE_RATE) for _, s in rest[:10]])
        joined = np.concatenate([sound for _, sound in rest])[:REFERENCE]
        speaker = voice.model.compute_speaker([joined])
        texts, own = [text for text, _ in tested], [sound for _, sound in tested]
        speech: Any = voice.model
        codes = [codec.encode(speech.dvae, sound, speech.mel_stats) for sound in own]
        coded = [voice.sound(c, Line(t, "en"), speaker) for c, t in zip(codes, texts, strict=True)]
        row = [f"{cer(ears, texts, own, codec.SAMPLE_RATE):.3f} / {secs(own, name, codec.SAMPLE_RATE):.3f}"]
        row += [f"{cer(ears, texts, coded, voice.rate):.3f} / {secs(coded, name, voice.rate):.3f}"]
        for spoken in (lines, short):
            drawn = voice.codes([Line(t, "en") for t in spoken], [speaker] * len(spoken), DECODING, given.seed)
            sounds = [voice.sound(c, Line(t, "en"), speaker) for c, t in zip(drawn, spoken, strict=True)]
            row.append(f"{cer(ears, list(spoken), sounds, voice.rate):.3f} / {secs(sounds, name, voice.rate):.3f}")
            if spoken is lines:
                said[name] = sounds
        print(f"| {name} | {' | '.join(row)} |", flush=True)
    for name in known:
        others = [secs(sounds, name, voice.rate) for other, sounds in said.items() if other != name]
        if others:
            print(f"{name}: SECS {secs(said[name], name, voice.rate):.3f}, strangers {np.mean(others):.3f}")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
