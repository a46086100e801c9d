"""The console command `voicetune` and `python -m voicetune` are one command."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from voicetune.__main__ import parser
from voicetune.errors import UserError

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
print("say" in commands.choices, {slow} & set(sys.modules))
"""
    status, said, error = call(tmp_path, "-c", code)
    assert status == 0, error
    assert said == "True set()\n"


def test_every_command_and_argument_is_explained():
    (commands,) = (one for one in parser()._actions if one.choices)
    lines = [(one.dest, one.help) for one in commands._choices_actions]
    lines += [(f"{name} {one.dest}", one.help) for name, own in commands.choices.items() for one in own._actions]
    assert [what for what, told in lines if not told] == []


NO_VOICE = "models/voice does not exist yet; `dvc repro` makes it, or `dvc pull` fetches it from a remote."
SENTENCES = {
    "say Hello.": NO_VOICE,
    "say --script lines.txt": NO_VOICE,
    "serve": NO_VOICE,
    "export given": NO_VOICE,
    "say Hello. --model nowhere": "the folder nowhere does not exist; correct its name, or make it: `dvc repro`, ",
    "say Hello. --voice bela": "there is no kept voice 'bela'; no voice is kept here yet (`voicetune keep NAME` keeps",
    "say Hello. --format mp3": "--format is for the files of a --script; the format of one text is the ending of --out",
    "states": "params.yaml is missing; run this in the repository's folder.",
    "states --from .": "params.yaml is missing; run this in the repository's folder.",
    "states --every 5": "--every copies again and again, so it needs --to or --from, which say where.",
    "states --every 5 --remove all": "--every copies again and again, so it needs --to or --from, which say where.",
}


@pytest.mark.parametrize("arguments", SENTENCES)
def test_what_a_newcomer_may_try_is_answered_with_the_remedy(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)

    def run() -> None:
        given = parser().parse_args(arguments.split())
        given.run(given)

    with pytest.raises(UserError) as told:
        run()
    assert str(told.value).startswith(SENTENCES[arguments])


def test_a_word_is_no_language(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["say", "Hello.", "--language", "english"])
    assert "argument --language: 'english' is no language; write a language's code of two or" in capsys.readouterr().err


def test_states_are_not_removed_and_copied_at_once(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["states", "--remove", "all", "--to", "store"])
    assert "--to: not allowed with argument --remove" in capsys.readouterr().err
