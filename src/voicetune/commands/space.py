"""The command `space`: what takes how much of the disk."""

import argparse
from pathlib import Path


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser(
        "space", help="show what takes how much of the disk, or remove what can be made again"
    )
    command.add_argument(
        "--clean", choices=("made", "states", "cache"),
        help="remove what the pipeline can make again (made), the states of unfinished trainings (states), or what"
        " DVC's cache has and this folder does not name (cache)",
    )  # fmt: skip
    command.add_argument("--yes", action="store_true", help="remove it without asking")
    command.set_defaults(run=show_or_clean)


def show_or_clean(arguments: argparse.Namespace) -> None:
    """Show how much of the disk each kind of file takes, or remove one kind."""
    from voicetune import space, terminal  # rich tables, DVC: not needed for --help

    root = Path.cwd()
    if arguments.clean == "made":
        files, freed = space.remove_made(root)
        print(f"removed {files} files, {space.readable(freed)}; `dvc checkout` brings back what the cache still has")
    elif arguments.clean == "states":
        print(f"removed {space.remove_states(root, arguments.yes)} states of unfinished trainings")
    elif arguments.clean == "cache":
        space.collect_garbage(root, arguments.yes)
    else:
        terminal.console.print(space.table(space.measure(root)))
