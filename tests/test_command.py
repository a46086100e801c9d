"""The console command `voicetune` and `python -m voicetune` are one command."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def call(folder: Path, *command: str | Path) -> tuple[int, str, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ("", 2, "usage: voicetune [-h] COMMAND"),
        ("sing", 2, "usage: voicetune [-h] COMMAND"),
        ("say --loud", 2, "usage: voicetune"),
        ("say", 1, "error: give either a text to say or a --script."),
        ("check nowhere.yaml", 1, "error: nowhere.yaml is missing"),
        ("--help", 0, "usage: voicetune [-h] COMMAND"),
    ],
)
def test_both_ways_of_calling_it_say_the_same(tmp_path, arguments, status, said):
    """The file is what pip writes for an entry of `[project.scripts]`."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["voicetune"]
    module, function = entry.split(":")
    script = tmp_path / "bin/voicetune"
    script.parent.mkdir()
    script.write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    long = call(tmp_path, "-m", "voicetune", *arguments.split())
    assert long[0] == status
    assert (long[1] if status == 0 else long[2]).startswith(said)
    assert call(tmp_path, script, *arguments.split()) == long
