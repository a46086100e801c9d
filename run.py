"""The two commands without make, for systems that have none: `python run.py repro` and `python run.py test`.

`python run.py setup` makes the virtual environment .venv with the pinned packages; the others do so when it is needed.
The Makefile calls this file too. It needs nothing but Python's own library. With TORCH=cpu in the environment, torch is
the smaller one that knows no CUDA.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
READY = VENV / ".ready"
FROM = ("requirements.lock", "pyproject.toml")  # what the environment is made from
VERSIONS = ((3, 11), (3, 13))
CPU_TORCH = "https://download.pytorch.org/whl/cpu"  # where PyTorch keeps the torch without CUDA
CUDA_ONLY = re.compile(r"(?!nvidia-ml-py)(nvidia-|triton==)")  # nvidia-ml-py is Python alone, and dvclive imports it
QUIET = {"TRAINER_TELEMETRY_DISABLED": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}


def environment() -> dict[str, str]:
    """This process's environment with the virtual environment first in PATH, as DVC's stages run `python`."""
    utf8 = {"PYTHONUTF8": "1"} if os.name == "nt" else {}  # Windows has another encoding for texts and the console
    return {**os.environ, **QUIET, **utf8, "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")])}


def run(*command: str | Path) -> None:
    """Run a command in the repository; if it fails, end with its status."""
    # Ctrl-C reaches the command, too. `subprocess.run` would kill it a moment later, before it has saved its state.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        status = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment(), check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    if status:
        sys.exit(status)


def setup() -> None:
    """Make .venv and install the pinned packages, if that has not been done with these versions."""
    made_with = READY.read_text(encoding="ascii") if READY.exists() else ""
    torch = os.environ.get("TORCH") or made_with or "cuda"
    if torch not in ("cuda", "cpu"):
        sys.exit(f"TORCH is '{torch}', but should be cpu or cuda (the default); correct it")
    if made_with and torch != made_with:
        sys.exit(f".venv has torch for {made_with}; delete the folder .venv, then run this again")
    if READY.exists() and all(READY.stat().st_mtime >= (ROOT / name).stat().st_mtime for name in FROM):
        return
    if not VERSIONS[0] <= sys.version_info[:2] <= VERSIONS[1]:
        sys.exit(
            f"voicetune needs Python 3.11 to 3.13, this is {sys.version_info[0]}.{sys.version_info[1]}; choose one:"
            " make PYTHON=python3.12, or py -3.12 run.py setup on Windows"
        )
    run(sys.executable, "-m", "venv", VENV)
    pip = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    run(*pip, *requirements(torch))
    run(*pip, "--no-build-isolation", "--editable", ".")
    # What librosa compiles when it is loaded is kept on disk. Two processes that do it at once can leave files that
    # crash every later one (numba#10128), so one process does it once.
    run(PYTHON, "-c", "import librosa; librosa.pyin, librosa.zero_crossings")
    READY.write_text(torch, encoding="ascii", newline="\n")


def requirements(torch: str) -> list[str | Path]:
    """What pip installs, as its arguments: the pinned packages, without those for CUDA if torch is `cpu`."""
    if torch == "cuda":
        return ["-r", "requirements.lock"]
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    kept = VENV / "requirements-cpu.txt"
    kept.write_text("\n".join(line for line in lines if not CUDA_ONLY.match(line)), encoding="utf-8", newline="\n")
    return ["--extra-index-url", CPU_TORCH, "-r", kept]


def repro() -> None:
    """Run the whole pipeline: clips to a voice that speaks, with its figures."""
    setup()
    run(PYTHON, "-m", "voicetune", "check")
    run(PYTHON, "-m", "dvc", "repro")
    run(PYTHON, "-m", "voicetune", "verdict")


def test() -> None:
    """Run the tests, without those that take minutes."""
    setup()
    run(PYTHON, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile")


COMMANDS = {"setup": setup, "repro": repro, "test": test}


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python run.py {' | '.join(COMMANDS)}")
    COMMANDS[sys.argv[1]]()


if __name__ == "__main__":
    main()
