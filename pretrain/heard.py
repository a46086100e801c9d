"""Stage heard: how well the bundle is understood, on unseen sentences in its own voices.

CER of faster-whisper tiny.en on what the bundle speaks, and on what espeak-ng itself spoke.
"""

import json
import tempfile
from pathlib import Path

import common
import soundfile

from voicetune.data.codes import Codes
from voicetune.measures.intelligibility import Recogniser, character_errors
from voicetune.params import Decoding
from voicetune.speech.voice import Line, Voice, listen, recordings
from voicetune.xtts import codec, origins

SENTENCES = 50


def main() -> None:
    data = common.WORK / "wide"
    codes = Codes(data / "codes")
    said = [codes.clips[i] for i in codes.held_out[:SENTENCES]]
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "base"
        origins.unfold("tiny", base, common.BUNDLE)
        voice = Voice(base)
    speakers = {name: listen(voice.xtts, recordings(codes, data / "clips", name)) for name in {c.speaker for c in said}}
    lines = [Line(c.text, c.language) for c in said]
    settings = Decoding(temperature=0.5, top_k=50, top_p=0.8, repetition_penalty=1.0)
    spoken = voice.speak(lines, [speakers[c.speaker] for c in said], settings, common.params()["seed"])
    original = [soundfile.read(data / "clips" / c.file, dtype="float32")[0] for c in said]
    ears = Recogniser("tiny.en", "en")
    figures = {"sentences": len(said)}
    for name, sounds in (("cer_bundle", spoken), ("cer_espeak", original)):
        counted = [
            character_errors(c.text, ears.transcribe(sound, codec.SAMPLE_RATE), "en")
            for c, sound in zip(said, sounds, strict=True)
        ]
        figures[name] = round(sum(e for e, _ in counted) / sum(n for _, n in counted), 4)
    (common.HERE / "heard.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(figures)


if __name__ == "__main__":
    common.run(main)
