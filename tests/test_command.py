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


def test_the_help_of_every_command_needs_no_slow_import(tmp_path):
    """Nor does it need a file: it is printed in any folder."""
    slow = {"torch", "TTS", "librosa", "soundfile", "rich", "dvc", "optuna", "fastapi", "uvicorn", "scipy"}
    code = f"""
import contextlib, io, sys
from voicetune.__main__ import parser
top = parser()
(commands,) = (one for one in top._actions if one.choices)
for name in commands.choices:
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        top.parse_args([name, "--help"])
    assert said.getvalue().startswith(f"usage: voicetune {{name}} "), said.getvalue()
print(len(commands.choices), {slow} & set(sys.modules))
"""
    status, said, error = call(tmp_path, "-c", code)
    assert status == 0, error
    assert said == "18 set()\n"
