"""Write a data/spoken of tones for the tests of the listening page.

Each row has its own pitch, level and sample rate.
"""

import csv
from pathlib import Path

import numpy as np
import soundfile

ROWS = ("recordings", "codec", "base", "phase1", "phase2")
LEVELS = (0.02, 0.1, 0.9, 0.3, 0.05)


def write(spoken: Path, sentences: int = 3, seconds: float = 0.5) -> Path:
    for number, row in enumerate(ROWS):
        rate = 24000 if row.startswith("phase") else 22050
        (spoken / row).mkdir(parents=True)
        with (spoken / row / "takes.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["id", "take", "file", "stopped", "language", "text"])
            for i in range(sentences):
                files = (f"s{i}.flac", f"take2/s{i}.flac")
                table.writerows([f"s{i}", n, files[n], 1, "en", f"Sentence <{i}> & its words."] for n in (0, 1))
                time = np.arange(int(rate * (seconds + 0.03 * number))) / rate
                tone = LEVELS[number] * np.sin(2 * np.pi * (200 + 60 * number + 10 * i) * time)
                soundfile.write(spoken / row / f"s{i}.flac", tone, rate, subtype="PCM_16")
    return spoken
