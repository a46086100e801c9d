"""Speak the quiz show of the default run in the held-out voice: data/raw/questions and data/raw/host.

    python pretrain/quizmaster.py

The voice is Kokoro's jf_gongitsune. The base was not trained on it, neither alone nor in a mixture. The recordings are
Opus at 28 kbit/s, in LJSpeech's layout, with their licence beside them.
"""

from pathlib import Path

import av
import common
import kokoro
import numpy as np
from rich.progress import track

ROOT = common.HERE.parent
SCRIPTS = ("questions", "host")
BITS_A_SECOND = 28_000
LICENCE = """\
These recordings were made by pretrain/quizmaster.py of voicetune, and are under the Mozilla Public License 2.0.
No person speaks in them.

The texts are voicetune's own (data/scripts/{script}.txt), under the same licence. The voice is jf_gongitsune of
Kokoro-82M by hexgrad (https://huggingface.co/hexgrad/Kokoro-82M); its weights and voices are under the Apache
License 2.0.
"""


def write_opus(path: Path, samples: np.ndarray) -> None:
    """Write mono float32 samples at 24,000 Hz."""
    whole = (np.clip(samples, -1, 1) * 32767).astype(np.int16)[None]
    with av.open(str(path), "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=kokoro.RATE, layout="mono")
        stream.bit_rate = BITS_A_SECOND
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
        frame.sample_rate = kokoro.RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)


def main() -> None:
    style = kokoro.mixed({kokoro.HELD_OUT: 1.0})
    for script in SCRIPTS:
        rows = (ROOT / "data" / "scripts" / f"{script}.txt").read_text(encoding="utf-8").splitlines()
        out = ROOT / "data" / "raw" / script
        (out / "wavs").mkdir(parents=True, exist_ok=True)
        for row in track(rows, script):
            name, _, text = row.partition("|")
            write_opus(out / "wavs" / f"{name}.opus", kokoro.say(text, style, 1.0)[0])
        (out / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        (out / "LICENCE.txt").write_text(LICENCE.format(script=script), encoding="utf-8")


if __name__ == "__main__":
    common.run(main)
