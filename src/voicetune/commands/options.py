"""What several commands share: the usual voice, and options."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from voicetune import families
from voicetune.errors import UserError
from voicetune.kept import voices
from voicetune.params import languages

if TYPE_CHECKING:
    from voicetune.speech.checking import Checks

VOICE = Path("models/voice")
COMMAND_LINE = "the command line"
"""What an error names where another one names a file."""


def language(given: str) -> str:
    """The type of an argument that is a language. Whether the model knows it is checked when it is opened."""
    if not languages.is_code(given):
        raise argparse.ArgumentTypeError(f"{given[:40]!r} is no language; write {languages.RULE}")
    return given


def add_model(command: argparse.ArgumentParser) -> None:
    """Add the two ways to say which model speaks."""
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--model", type=_folder, default=VOICE, metavar="FOLDER", help="the model's folder (default: models/voice)"
    )
    which.add_argument(
        "--voice", type=voices.find, dest="model", metavar="NAME", help="a kept voice; `voicetune voices` lists them"
    )


def _folder(given: str) -> Path:
    """The type of --model. Raises UserError: it is a kept voice's, see `voices.check`."""
    voices.check(Path(given))
    return Path(given)


def check_model(folder: Path) -> None:
    """Require a folder with a model.

    Raises:
        UserError: it does not exist, or a file of the model is missing there.
    """
    if folder == VOICE and not folder.exists():
        raise UserError(f"{folder} does not exist yet; `dvc repro` makes it, or `dvc pull` fetches it from a remote.")
    families.layout(folder).weights_file(folder)


def add_checks(command: argparse.ArgumentParser) -> None:
    """Add what decides how the sound is checked."""
    command.add_argument(
        "--tries", type=int, default=4, metavar="N",
        help="speak a part that has a fault again, at most N times in all (default: 4)",
    )  # fmt: skip
    command.add_argument(
        "--asr", metavar="NAME", help="check the words, too, with a recogniser such as tiny.en (default: none)"
    )


def read_checks(arguments: argparse.Namespace) -> "Checks":
    from voicetune.speech.checking import Checks  # sound and torch: not needed for --help

    return Checks(arguments.tries, arguments.asr, "--asr")


def add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="what computes (default: auto, which is a GPU if there is one)",
    )


def add_watermark(command: argparse.ArgumentParser) -> None:
    command.add_argument("--watermark", action="store_true", help="mark the sound, inaudibly, as synthetic speech")
