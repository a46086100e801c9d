"""The command `listen`: the blind listening test."""

import argparse
from pathlib import Path

from voicetune.params import whole


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("listen", help="build the blind listening page, or read what its listeners saved")
    command.add_argument(
        "results",
        type=Path,
        nargs="*",
        metavar="results.json",
        help="the files that listeners saved; without them the page is built",
    )
    command.add_argument(
        "--sentences",
        type=int,
        default=8,
        metavar="N",
        help="how many sentences the page has, each in 3 pairs and 4 ratings (default: 8)",
    )
    command.add_argument("--no-open", action="store_true", help="do not open the page in the browser")
    command.set_defaults(run=listen)


def listen(arguments: argparse.Namespace) -> None:
    """Build the blind listening page, or read what its listeners saved."""
    settings = whole.load()
    from voicetune.listening import command  # rich tables and the page: not needed for --help

    if arguments.results:
        command.read(arguments.results, settings)
    else:
        command.build(arguments.sentences, settings, open_it=not arguments.no_open)
