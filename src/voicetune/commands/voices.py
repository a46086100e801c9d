"""The commands `keep` and `voices`: voices that are kept under a name."""

import argparse
import sys

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
    changed = keeping.uncommitted()
    if not changed:
        print(f"{folder} is kept; commit it: `git add {voices.pointer(folder.name)} && git commit`")
        return
    print(f"{folder} is kept")
    warning = (
        f"{', '.join(changed)} had uncommitted changes when this voice was kept, so {folder / voices.FACTS} names no"
        f" commit; commit them, remove the voice (`voicetune voices --remove {folder.name}`), and keep it again"
    )
    print(shown(f"warning: {warning}"), file=sys.stderr)


def list_or_remove(arguments: argparse.Namespace) -> None:
    """List the published voice and the kept ones, or remove some of those."""
    from voicetune.kept import keeping, table  # rich tables: not needed for --help

    for name in arguments.remove:
        keeping.check_kept(name)
    for name in arguments.remove:
        if keeping.remove(name):
            print(f"removed {name}; DVC's cache has it until `make clean-cache`")
        else:
            print(f"removed {name}; it had no {voices.pointer(name)}, so DVC cannot bring it back")
    if not arguments.remove:
        table.show()
