"""Try the pipeline on this system: stages up to a training of a few steps, a kill in it, its resumption, and speech.

Usage, after the set-up, in a clone of its own, because it changes params.yaml and results:
    python run.py setup
    python tests/on_this_system.py
"""

import csv
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import run  # noqa: E402

STEPS, KILLED_AFTER, PATIENCE = 40, 5, 900  # seconds


def main() -> None:
    if Path(sys.prefix).resolve() != run.VENV.resolve():  # the packages are in the environment alone
        run.run(run.PYTHON, Path(__file__))
        return
    import yaml

    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for phase in ("train_phase1", "train_phase2"):
        settings[phase] |= {"max_steps": STEPS, "eval_every": KILLED_AFTER, "log_every": 1, "select": "mel_ce"}
    (ROOT / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    dvc = (run.PYTHON, "-m", "dvc", "repro", "--quiet")
    run.run(*dvc, "choose", "encode")
    kill_a_training()
    run.run(*dvc, "publish")
    run.run(run.PYTHON, "-m", "voicetune", "say", "This voice speaks on this system.", "--out", "said.wav")
    print(f"{(ROOT / 'said.wav').stat().st_size:,} bytes of speech")


def kill_a_training() -> None:
    """Start phase 1, and kill all of its processes once it has made a few steps."""
    import psutil

    process = subprocess.Popen(
        [str(run.PYTHON), "-m", "dvc", "repro", "--quiet", "train_phase1"], cwd=ROOT, env=run.environment()
    )
    for _ in range(PATIENCE):
        if count_steps() > KILLED_AFTER or process.poll() is not None:
            break
        time.sleep(1)
    if process.poll() is not None:
        sys.exit(f"the training ended (status {process.returncode}) before it could be killed")
    for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        with suppress(psutil.NoSuchProcess):  # a process that has lost its parent ends itself
            one.kill()
    process.wait()
    print(f"killed after {count_steps()} steps")


def count_steps() -> int:
    """Count the steps that the running training has written to its curve."""
    curves = list((ROOT / "metrics/train_phase1").rglob("*.tsv"))
    return max((len(list(csv.reader(path.open(encoding="utf-8")))) - 1 for path in curves), default=0)


if __name__ == "__main__":
    main()
