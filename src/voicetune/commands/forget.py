"""The command `forget`: a speaker's recordings, and all that was made of them."""

import argparse
from pathlib import Path

from voicetune.params import whole


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("forget", help="list or remove a speaker's recordings and all that was made of them")
    command.add_argument("speaker", help="the name of the speaker in params.yaml, or in a list of recordings")
    command.add_argument("--yes", action="store_true", help="remove it; without this it is only listed")
    command.set_defaults(run=forget)


def forget(arguments: argparse.Namespace) -> None:
    """Show what there is of a speaker, or remove it."""
    from voicetune.forget import command

    command.run(Path.cwd(), arguments.speaker, list(whole.load().prepare.sources), arguments.yes)
