"""The commands about a run: `check`, `doctor` and `ready` before it, `deps` and `explain` about its stages."""

import argparse
import sys
from pathlib import Path

from voicetune import files
from voicetune.data import decisions
from voicetune.errors import UserError, shown
from voicetune.params import reading, whole
from voicetune.params.training import PHASES


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("check", help="check params.yaml for faults")
    command.add_argument(
        "params",
        type=Path,
        nargs="?",
        default=Path("params.yaml"),
        metavar="FILE",
        help="the file (default: params.yaml)",
    )
    command.set_defaults(run=check)
    command = commands.add_parser("doctor", help="say what the machine and the project lack for a run")
    command.set_defaults(run=doctor)
    command = commands.add_parser(
        "ready", help="check and fetch what the trainings will need (each training does so itself)"
    )
    command.add_argument(
        "phase", choices=PHASES, nargs="?", default=PHASES[0], help=f"from this one on (default: {PHASES[0]})"
    )
    command.set_defaults(run=ready)
    command = commands.add_parser("deps", help="print which files each stage runs; for those who change the code")
    command.add_argument("--write", action="store_true", help="write them into dvc.yaml")
    command.set_defaults(run=deps)
    command = commands.add_parser(
        "explain", help="say why results here may have other bytes than those in git: the machine, the packages"
    )
    command.set_defaults(run=explain)


def check(arguments: argparse.Namespace) -> None:
    """Check params.yaml, so that a fault in it is reported even if DVC then finds that nothing changed.

    Check the table of decisions too, because DVC does not say what to do if it is missing.
    """
    from voicetune import readiness  # not needed for --help

    params = whole.load(arguments.params)
    readiness.check_params(params)
    readiness.check_base(params.base)
    decisions.read(decisions.PATH)
    print(f"{arguments.params} has no faults")


def doctor(arguments: argparse.Namespace) -> None:
    """Say what the machine and the project lack for a run; status 1 if that is something which the run needs."""
    from voicetune.doctor import command  # asks the driver and git

    sys.exit(command.run(Path.cwd()))


def ready(arguments: argparse.Namespace) -> None:
    """Check and fetch what a run needs from a phase on. Each phase also starts this itself before it trains."""
    from voicetune import readiness  # not needed for --help

    readiness.check(whole.load(), arguments.phase)


def deps(arguments: argparse.Namespace) -> None:
    """Print the files that each stage runs, or bring dvc.yaml up to date with them."""
    from voicetune import closure

    pipeline = Path("dvc.yaml")
    commands = closure.commands(reading.read_yaml(pipeline))
    if arguments.write:
        text = files.read_text(pipeline, "run this in the repository's folder")
        rewritten = closure.rewrite(text)
        files.put(pipeline, rewritten.encode())
        changed = "nothing to change" if rewritten == text else "changed"
        print(f"dvc.yaml lists the files that each stage runs: {changed}")
        return
    for name, one in commands.items():
        print(name, *closure.files(closure.script_of(one)), sep="\n  ")


def explain(arguments: argparse.Namespace) -> None:
    """Print how this machine differs from those that made the results in this repository."""
    from voicetune import machine

    if machine.has_conflict():
        raise UserError(machine.CONFLICT)
    made, here = machine.read(), machine.facts(whole_machine=True)
    if not made:
        raise UserError("machine.json is missing or damaged; `git checkout machine.json`, or `dvc repro`.")
    for known, stages in made:
        found = machine.differences(known, here)
        names = ", ".join(sorted(stages))
        difference = "; ".join(found) if found else "made on a machine like this one, so the bytes are the same"
        print(shown(f"{names}: {difference}"))
