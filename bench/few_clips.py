"""How wide the 95 % interval of mel CE is with fewer test clips. The table is in docs/measuring.md.

    python bench/few_clips.py              # after `make repro`

For each number of clips, subsets of the test clips are drawn. The figures are medians over them: half of the interval
of phase 2's mel CE, and half of that of its difference to phase 1.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voicetune.measures import clip_table
from voicetune.measures.intervals import Interval, paired_difference, ratio_interval

FOLDER = Path("metrics/evaluate")
SUBSETS, RESAMPLES = 200, 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[31, 12, 8, 6, 4, 2], help="how many clips")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="the results of stage evaluate")
    parser.add_argument("--subsets", type=int, default=SUBSETS)
    given = parser.parse_args()
    first, second = (clip_table.read(given.folder / phase / clip_table.TABLE) for phase in ("phase1", "phase2"))
    before, after, tokens = (
        first.columns["mel_nats"], second.columns["mel_nats"], second.columns["mel_tokens"],
    )  # fmt: skip
    rng = np.random.default_rng(1)
    print("| clips | half of the interval | of the difference |\n| ---: | ---: | ---: |")
    for count in given.clips:
        found = []
        for _ in range(given.subsets if count < len(tokens) else 1):
            own = rng.permutation(len(tokens))[:count]
            alone = ratio_interval(after[own], tokens[own], RESAMPLES, 1)
            change = paired_difference(before[own], after[own], tokens[own], RESAMPLES, 1)
            found.append(halves([alone, change]))
        print(f"| {min(count, len(tokens))} | " + " | ".join(f"{one:.3f}" for one in np.median(found, axis=0)) + " |")


def halves(intervals: Sequence[Interval]) -> list[float]:
    return [(one.high - one.low) / 2 for one in intervals]


if __name__ == "__main__":
    main()
