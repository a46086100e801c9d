"""Stage heard: measure how well the bundle is understood in its own voices.

It measures validation sentences and phrases of a few words. The figures are the CER of faster-whisper tiny.en on the
bundle's speech and on the synthesisers' speech, and the share of texts that the bundle cut short.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import common
import numpy as np

from voicetune.data.clip import Clip
from voicetune.data.dataset import Dataset
from voicetune.measures.speaking import speak
from voicetune.measures.takes import Take, recorded
from voicetune.params.decoding import Decoding
from voicetune.recognition.intelligibility import read
from voicetune.recognition.recogniser import Recogniser
from voicetune.speech import conditioning
from voicetune.speech.voice import Voice
from voicetune.xtts import codec, origins

COUNT = 50  # texts of each kind, at most
WORDS = 3  # words of a phrase, at most
CUT = 0.5  # share of the synthesiser's time; a text spoken in less counts as cut
DECODING = Decoding(temperature=0.5, top_k=50, top_p=0.8, repetition_penalty=1.0)


def figures(
    voice: Voice, ears: Recogniser, data: Dataset, wanted: Callable[[Clip], bool], seed: int
) -> dict[str, float]:
    """Measure a data set's first validation clips that `wanted` accepts.

    Returns:
        the number of texts; the CER of the bundle's and of the synthesisers' speech; and the share of texts cut short.
    """
    codes = data.codes
    chosen = np.array([i for i in codes.validation if wanted(codes.clips[i])][:COUNT])
    names = (codes.speakers[i] for i in chosen)
    speakers = conditioning.compute_speakers(voice.model, data, names)
    spoken = speak(voice, codes, speakers, chosen, DECODING, seed, takes=1)
    original = recorded(data, chosen)
    cut = [
        s.sound.size / voice.rate < CUT * o.sound.size / codec.SAMPLE_RATE
        for s, o in zip(spoken, original, strict=True)
    ]
    return {
        "texts": len(chosen),
        "cer_bundle": cer(ears, spoken, voice.rate),
        "cer_speech": cer(ears, original, codec.SAMPLE_RATE),
        "cut": round(float(np.mean(cut)), 4),
    }


def cer(ears: Recogniser, takes: list[Take], rate: int) -> float:
    """The character errors of all takes over the number of all their characters."""
    readings = [read(ears, take.clip, take.sound, rate) for take in takes]
    return round(sum(r.character_errors for r in readings) / sum(r.characters for r in readings), 4)


def main() -> None:
    seed = common.params()["seed"]
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "base"
        origins.unfold("tiny", base, common.BUNDLE)
        voice = Voice(base)
    ears = Recogniser("tiny.en", "en", "cpu")
    data = Dataset(common.WORK)
    found = {
        "sentences": figures(voice, ears, data, lambda clip: len(clip.text.split()) > WORDS, seed),
        "phrases": figures(voice, ears, data, lambda clip: len(clip.text.split()) <= WORDS, seed),
    }
    (common.HERE / "heard.json").write_text(json.dumps(found, indent=2) + "\n")
    print(found)


if __name__ == "__main__":
    common.run(main)
