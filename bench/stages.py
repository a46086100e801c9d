"""Print how long each stage of the pipeline took in the last `make repro`, with start-up and work apart.

    python bench/stages.py             # a Markdown table; --run FOLDER takes another run's files

Start-up is the time until a stage's modules are loaded. It is measured by loading them once more. Work is the rest of
the stage's time in the last run, which the stage measured itself (metrics/run/<stage>.json).
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from voicetune import closure
from voicetune.params import reading

ROOT = Path(__file__).resolve().parent.parent
LOADED = "import importlib, sys; sys.path.insert(0, 'src'); [importlib.import_module(name) for name in sys.argv[1:]]"


def modules(script: str) -> list[str]:
    """The modules of a stage, without its own script."""
    files = [] if script == "choose" else closure.files(script, ROOT / "src")  # choose only hashes the files
    names = [Path(file).relative_to("src").with_suffix("") for file in files if file.endswith(".py")]
    return [".".join(name.parts).removesuffix(".__init__") for name in names if len(name.parts) > 1]


def starting(script: str) -> float:
    """Seconds that a new process needs to load a stage's modules."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", LOADED, *modules(script)], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path, default=ROOT / "metrics/run", help="the files of a run (metrics/run)")
    rows: list[tuple[str, float, float, float]] = []
    known: dict[str, float] = {}
    for path in sorted(parser.parse_args().run.glob("*.json")):
        seconds = json.loads(path.read_text(encoding="utf-8")).get("seconds")
        script = "train" if path.stem.startswith("train_") else path.stem.split("@")[0]
        if seconds is not None:
            known.setdefault(script, starting(script))
            rows.append((path.stem, known[script], max(0.0, seconds - known[script]), seconds))
    if not rows:
        sys.exit("the folder holds no seconds; run `make repro` first.")
    order = list(reading.read_yaml(ROOT / "dvc.yaml")["stages"])
    rows.sort(key=lambda row: (order.index(row[0].split("@")[0]), row[0]))
    print("| stage | start-up, s | work, s | both |\n| --- | ---: | ---: | ---: |")
    for name, start, work, seconds in rows:
        print(f"| {name} | {start:.1f} | {work:.1f} | {seconds:.1f} |")
    print(f"| all | {sum(r[1] for r in rows):.1f} | {sum(r[2] for r in rows):.1f} | {sum(r[3] for r in rows):.1f} |")


if __name__ == "__main__":
    main()
