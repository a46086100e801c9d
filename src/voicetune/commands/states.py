"""The command `states`: the states of unfinished trainings."""

import argparse
import sys
from pathlib import Path

from voicetune import files
from voicetune.errors import UserError, shown
from voicetune.params import reading
from voicetune.training import state_folders


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser(
        "states",
        help="list the states that unfinished trainings go on from, remove them, or copy them to or from a folder",
    )
    which = command.add_mutually_exclusive_group()
    which.add_argument("--remove", nargs="+", default=[], metavar="NAME", help="remove these states; `all` is all")
    which.add_argument("--to", type=Path, metavar="FOLDER", help="copy the newest state of each training to a folder")
    which.add_argument("--from", type=Path, metavar="FOLDER", dest="from_", help="copy the states of a folder here")
    command.add_argument(
        "--every", type=int, metavar="SECONDS", help="with --to or --from: copy again and again, until it is stopped"
    )
    command.set_defaults(run=list_or_remove)


def list_or_remove(arguments: argparse.Namespace) -> None:
    """List the states of unfinished trainings, remove some, or carry them to another machine."""
    if arguments.every is not None and not (arguments.to or arguments.from_):
        raise UserError("--every copies again and again, so it needs --to or --from, which say where.")
    files.need(reading.PATH, "run this in the repository's folder")
    here = state_folders.root(Path.cwd())
    if arguments.to or arguments.from_:
        return _carry(here, arguments)
    known = {one.folder.name: one for one in state_folders.find(here)}
    chosen = list(known) if arguments.remove == ["all"] else arguments.remove
    for name in chosen:
        if name not in known:
            raise UserError(f"there is no state '{name}'; `voicetune states` lists what there is.")
    state_folders.check_unused([known[name] for name in chosen])
    for name in chosen:
        state_folders.remove(known[name].folder)
        if known[name].folder.exists():
            raise UserError(f"{known[name].folder} could not be removed; see who owns its files.")
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
    if arguments.from_ and not source.is_dir():
        raise UserError(f"{source} is no folder with states; correct its path.")
    if source.resolve() == target.resolve():
        raise UserError(f"{target} is where the states are; name another folder.")
    if arguments.every is not None and arguments.every < 1:
        raise UserError(f"--every is {arguments.every}, but should be a whole number of seconds, at least 1.")
    every, seen, faults = arguments.every, 0, 0
    for one in carrying.repeat(source, target, every) if every else carrying.carry(source, target):
        seen += 1
        if one.fault:
            faults += 1
            print(shown(f"warning: {one.name} was not carried: {one.fault}"), file=sys.stderr, flush=True)
        else:
            print(shown(f"{one.name}  step {one.step}  carried to {target}"), flush=True)
    if not seen:
        there = any(one.step is not None for one in state_folders.find(source))
        said = f"{target} has every state of {source} already" if there else f"{source} has no state to carry"
        print(shown(said))
    if faults:
        raise UserError("not every state was carried; see the warnings, and run this again.")
