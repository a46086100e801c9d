"""Stage heard: how well the bundle is understood, on unseen sentences in its own voices.

CER of faster-whisper tiny.en on what the bundle speaks, and on what espeak-ng itself spoke.
"""

import json
import tempfile
from pathlib import Path

import common
import soundfile

from voicetune.data.codes import Codes
from voicetune.measures.intelligibility import Recogniser, cer
from voicetune.params import Decoding
from voicetune.speech.voice import Line, Voice, heard
from voicetune.xtts import codec, origins

SENTENCES = 50


def main() -> None:
    data = common.WORK / "long"
    codes = Codes(data / "codes")
    said = [codes.clips[i] for i in codes.held_out[:SENTENCES]]
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "base"
        origins.unfold("tiny", base, common.BUNDLE)
        voice = Voice(base)
    speakers = heard(voice.xtts, codes, data / "clips", (c.speaker for c in said))
    lines = [Line(c.text, c.language) for c in said]
    settings = Decoding(temperature=0.5, top_k=50, top_p=0.8, repetition_penalty=1.0)
    spoken = voice.speak(lines, [speakers[c.speaker] for c in said], settings, common.params()["seed"])
    original = [soundfile.read(data / "clips" / c.file, dtype="float32")[0] for c in said]
    ears = {"en": Recogniser("tiny.en", "en")}
    figures: dict[str, float] = {"sentences": len(said)}
    for name, sounds in (("cer_bundle", spoken), ("cer_espeak", original)):
        figures[name] = round(cer(ears, said, sounds, codec.SAMPLE_RATE), 4)
    (common.HERE / "heard.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(figures)


if __name__ == "__main__":
    common.run(main)
