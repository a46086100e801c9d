"""Measure what a model loses when its weights are given away in half precision (`voicetune export --half`).

    python bench/half_precision.py                       # models/voice, which `make repro` made

Both models speak the lines of bench/lines.txt with the same seeds. The command prints how many lines have the same
audio codes; the CER of each model; the mean SECS of each to the mean voice of the other lines of the whole model; and
the differences with 95 % intervals over the lines.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from voicetune import entry, families, terminal
from voicetune.measures.intervals import paired_difference
from voicetune.measures.similarity import SpeakerEncoder, reference_embedding, secs
from voicetune.model import Gift
from voicetune.recognition.intelligibility import character_errors
from voicetune.recognition.recogniser import Recogniser
from voicetune.speech.voice import Line, Voice

LINES = Path(__file__).with_name("lines.txt")
RESAMPLES = 10_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=Path("models/voice"))
    parser.add_argument("--first", type=int, help="so many lines (all)")
    parser.add_argument("--asr", default="tiny.en")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    lines = [Line(text, "en") for text in LINES.read_text(encoding="utf-8").splitlines()][: given.first]
    with tempfile.TemporaryDirectory() as place:
        half = Path(place) / "half"
        families.export(given.model).export(given.model, half, Gift(half=True))
        said = {name: spoken(Voice(path), lines, given.seed) for name, path in (("whole", given.model), ("half", half))}
        size = (half / "model.pth").stat().st_size
    reader, encoder = Recogniser(given.asr, "en", "cpu"), SpeakerEncoder()
    errors: dict[str, list[int]] = {"whole": [], "half": []}
    voices: dict[str, list[np.ndarray | None]] = {"whole": [], "half": []}
    characters = []
    for i, line in enumerate(terminal.track(lines, "measuring", len(lines))):
        for name, (_, sounds, rate) in said.items():
            wrong, count = character_errors(line.text, reader.transcribe(sounds[i], rate), line.language)
            errors[name].append(wrong)
            voices[name].append(encoder.embed(sounds[i], rate))
        characters.append(count)
    known = [i for i in range(len(lines)) if voices["whole"][i] is not None and voices["half"][i] is not None]
    like = {name: [_secs(voices, name, i, known) for i in known] for name in voices}
    same = sum(np.array_equal(a, b) for a, b in zip(said["whole"][0], said["half"][0], strict=True))
    cer = paired_difference(errors["whole"], errors["half"], characters, RESAMPLES, given.seed)
    similar = paired_difference(like["whole"], like["half"], np.ones(len(known)), RESAMPLES, given.seed)
    print(json.dumps({
        "lines": len(lines), "same codes": same, "MB of half": round(size / 1e6, 1),
        **{f"CER {name}": round(sum(one) / sum(characters), 4) for name, one in errors.items()},
        "CER difference": [round(one, 4) for one in (cer.mean, cer.low, cer.high)],
        **{f"SECS {name}": round(float(np.mean(one)), 4) for name, one in like.items()},
        "SECS difference": [round(one, 4) for one in (similar.mean, similar.low, similar.high)],
    }))  # fmt: skip


def spoken(voice: Voice, lines: list[Line], seed: int) -> tuple[list[np.ndarray], list[np.ndarray], int]:
    """The codes and the sound of each line, and the sample rate in Hz."""
    speakers = [voice.speaker()] * len(lines)
    codes = voice.codes(lines, speakers, voice.decoding(), seed)
    return [one.numpy() for one in codes], list(map(voice.sound, codes, lines, speakers)), voice.rate


def _secs(voices: dict[str, list[np.ndarray | None]], name: str, i: int, known: list[int]) -> float:
    """The SECS of a line to the mean voice of the whole model's other lines."""
    others = [one for j in known if j != i and (one := voices["whole"][j]) is not None]
    own = voices[name][i]
    assert own is not None
    return secs(own, reference_embedding(others))


if __name__ == "__main__":
    entry.run(main)
