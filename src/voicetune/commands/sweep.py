"""The command `sweep`: trainings with many values of some parameters."""

import argparse
from typing import Annotated

from pydantic import Field

from voicetune.commands import options
from voicetune.errors import UserError
from voicetune.params import reading

SWEPT = ("train_phase1", "train_phase2", "compare", "report")  # the last stage of a sweep's experiments


class Sweeping(reading.Section):
    """Arguments of `sweep`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=40, examples=["rates"])]
    trials: Annotated[int, Field(ge=1, le=1000)] | None
    seed: reading.Seed
    parallel: Annotated[int, Field(ge=1, le=256, examples=[1])]
    threads: Annotated[int, Field(ge=1, le=1024)] | None


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("sweep", help="train with many values of some parameters, each a DVC experiment")
    command.add_argument("name", help="of the sweep; its experiments are NAME-001 and so on")
    command.add_argument(
        "-S", "--set", action="append", required=True, metavar="KEY=VALUES",
        help="lr=1e-4,2e-4 (a list), lr=1e-5..1e-3 (a range) or lr=log:1e-5..1e-3; several times",
    )  # fmt: skip
    command.add_argument("--trials", type=int, help="so many, chosen by TPE (every combination of the lists)")
    command.add_argument("--prune", action="store_true", help="give up trials whose mel CE is worse than the median")
    command.add_argument("--parallel", type=int, default=1, help="trials at the same time (1)")
    command.add_argument("--threads", type=int, help="of the CPU for each trial (its share of the cores)")
    command.add_argument("--target", choices=SWEPT, default="train_phase2", help="the last stage (train_phase2)")
    command.add_argument("--seed", type=int, default=1, help="of what TPE proposes (1)")
    command.set_defaults(run=sweep)


def sweep(arguments: argparse.Namespace) -> None:
    """Train with many values of some parameters."""
    given = {name: getattr(arguments, name) for name in Sweeping.model_fields}
    reading.check(Sweeping, given, options.COMMAND_LINE)
    from voicetune.sweep import command, values  # Optuna: not needed for --help

    spaces = values.parse(arguments.set)
    if arguments.trials is None and any(isinstance(space, values.Range) for space in spaces):
        raise UserError("a range has no end; say with --trials how many values are tried.")
    command.run(
        command.Sweep(
            arguments.name, spaces, arguments.trials, arguments.seed, arguments.target, arguments.prune,
            arguments.parallel, arguments.threads or command.threads_for(arguments.parallel),
        )
    )  # fmt: skip
