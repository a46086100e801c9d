"""What several commands share: the usual voice, and options."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from voicetune.kept import voices

if TYPE_CHECKING:
    from voicetune.speech.checking import Checks

VOICE = Path("models/voice")
COMMAND_LINE = "the command line"
"""What an error names where another one names a file."""


def add_model(command: argparse.ArgumentParser) -> None:
    """Add the two ways to say which model speaks."""
    which = command.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, default=VOICE, help="a model folder (models/voice)")
    which.add_argument(
        "--voice", type=voices.find, dest="model", metavar="NAME", help="a kept voice (docs/several-voices.md)"
    )


def add_checks(command: argparse.ArgumentParser) -> None:
    """Add what decides how the sound is checked."""
    command.add_argument("--tries", type=int, default=4, help="draws of a part that has a fault, at most (4)")
    command.add_argument("--asr", help="a recogniser, such as tiny.en, that checks the words (none)")


def read_checks(arguments: argparse.Namespace) -> "Checks":
    from voicetune.speech.checking import Checks  # sound and torch: not needed for --help

    return Checks(arguments.tries, arguments.asr, "--asr")


def add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")


def add_watermark(command: argparse.ArgumentParser) -> None:
    command.add_argument("--watermark", action="store_true", help="mark the sound, inaudibly, as synthetic speech")
