"""Stage evaluate: the measures of one model on the held-out clips.

Usage: python src/evaluate.py base | phase1 | phase2
"""

import csv
import sys
from pathlib import Path

from voicetune import params, stage
from voicetune.errors import UserError


def main() -> None:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in params.MODELS:
        raise UserError(f"which model? `python src/evaluate.py` with one of {', '.join(params.MODELS)}.")
    settings = params.load()
    from voicetune.measures import spoken, suite  # torch and the stock classes: only once the parameters are good

    figures, rows, said = suite.run(Path("models") / name, Path("data"), settings)
    out = Path("metrics/evaluate")
    stage.write_json(out / f"{name}.json", figures)
    with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    spoken.save(Path("data/spoken") / name, said.takes, said.rows, said.rate)
    print(f"{name}: mel CE {figures['mel_ce']:.4f}, text CE {figures['text_ce']:.4f}, {spoken.told(figures)}")


if __name__ == "__main__":
    stage.run(main)
