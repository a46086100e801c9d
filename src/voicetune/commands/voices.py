"""The commands `keep` and `voices`: voices that are kept under a name."""

import argparse

from voicetune.errors import shown
from voicetune.kept import voices


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("keep", help="keep the published voice under a name, before another one is made")
    command.add_argument("name", help="name of the voice: letters A to Z, digits, hyphens and underscores")
    command.set_defaults(run=keep)
    command = commands.add_parser("voices", help="list the published voice and the kept ones, or remove some of those")
    command.add_argument("--remove", nargs="+", default=[], metavar="NAME", help="remove these kept voices")
    command.set_defaults(run=list_or_remove)


def keep(arguments: argparse.Namespace) -> None:
    """Keep the published voice under a name."""
    from voicetune.kept import keeping  # not needed for --help

    folder = keeping.keep(arguments.name)
    print(f"{folder} is kept; commit it: `git add {folder}.dvc {voices.FOLDER}/.gitignore && git commit`")
    if changed := keeping.uncommitted():
        print(shown(f"warning: commit {', '.join(changed)} too, so that git has what made this voice"))


def list_or_remove(arguments: argparse.Namespace) -> None:
    """List the published voice and the kept ones, or remove some of those."""
    from voicetune.kept import keeping, table  # rich tables: not needed for --help

    for name in arguments.remove:
        keeping.check_kept(name)
    for name in arguments.remove:
        keeping.remove(name)
        print(f"removed {name}; DVC's cache has it until `make clean-cache`")
    if not arguments.remove:
        table.show()
