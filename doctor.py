"""Say what a run will lack, before anything starts: `make doctor`, or `python3 doctor.py` where there is no make.

It needs nothing but Python's own library. After the set-up, .venv's Python does it, and looks at more.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SRC = ROOT / "src"


def main() -> int:
    own = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if own.is_file() and (ROOT / ".venv/.ready").is_file():
        environment = {**os.environ, "PYTHONPATH": str(SRC)}
        return subprocess.call([str(own), "-m", "voicetune", "doctor"], cwd=str(ROOT), env=environment)
    sys.path.insert(0, str(SRC))
    from voicetune.doctor import command

    os.chdir(str(ROOT))
    return command.run(ROOT)


if __name__ == "__main__":
    sys.exit(main())
