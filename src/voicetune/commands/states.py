"""The command `states`: the states of unfinished trainings."""

import argparse
from pathlib import Path

from voicetune.errors import UserError
from voicetune.training import state_folders


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("states", help="list, remove or carry the states of unfinished trainings")
    command.add_argument("--remove", nargs="+", default=[], metavar="NAME", help="remove these, or `all`")
    place = command.add_mutually_exclusive_group()
    place.add_argument("--to", type=Path, metavar="FOLDER", help="copy the newest state of each training there")
    place.add_argument("--from", type=Path, metavar="FOLDER", dest="from_", help="copy the states of that folder here")
    command.add_argument("--every", type=int, metavar="SECONDS", help="do so again and again, until stopped")
    command.set_defaults(run=list_or_remove)


def list_or_remove(arguments: argparse.Namespace) -> None:
    """List the states of unfinished trainings, remove some, or carry them to another machine."""
    here = state_folders.root(Path.cwd())
    if arguments.to or arguments.from_:
        return _carry(here, arguments)
    known = {one.folder.name: one for one in state_folders.find(here)}
    chosen = list(known) if arguments.remove == ["all"] else arguments.remove
    for name in chosen:
        if name not in known:
            raise UserError(f"there is no state '{name}'; `python -m voicetune states` lists what there is.")
    state_folders.check_unused([known[name] for name in chosen])
    for name in chosen:
        state_folders.remove(known[name].folder)
        print(f"removed {name}")
    for name, one in known.items():
        if name not in chosen:
            at = "no step yet" if one.step is None else f"step {one.step}"
            use = "in use" if one.used else f"last written {one.days:.1f} days ago"
            print(f"{name}  {at}  {one.bytes / 1e6:.0f} MB  {use}")
    if not known:
        print("there are no states of unfinished trainings")


def _carry(here: Path, arguments: argparse.Namespace) -> None:
    from voicetune.training import carrying

    source, target = (here, arguments.to) if arguments.to else (arguments.from_, here)
    if source.resolve() == target.resolve():
        raise UserError(f"{target} is where the states are; name another folder.")
    if arguments.every is not None and arguments.every < 1:
        raise UserError(f"--every is {arguments.every}, but should be a whole number of seconds, at least 1.")
    lines = carrying.carry(source, target)
    if arguments.every:
        lines = carrying.repeat(source, target, arguments.every)
    for line in lines:
        print(f"{line}  carried to {target}", flush=True)
