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
    command.add_argument("name", help="name of the sweep; its experiments are called NAME-001 and so on")
    command.add_argument(
        "-S", "--set", action="append", required=True, metavar="KEY=VALUES",
        help="a parameter and what is tried: lr=1e-4,2e-4 (a list), lr=1e-5..1e-3 (a range, with --trials) or"
        " lr=log:1e-5..1e-3 (a range whose powers of ten are tried equally often); can be given several times",
    )  # fmt: skip
    command.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help="train N times; a search (Optuna's TPE) chooses the values (default: every combination of the lists)",
    )
    command.add_argument(
        "--prune",
        action="store_true",
        help="stop a trial early if its mel CE is worse than the median of the others",
    )
    command.add_argument(
        "--parallel", type=int, default=1, metavar="N", help="how many trials run at the same time (default: 1)"
    )
    command.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads of each trial (default: its share of the cores)"
    )
    command.add_argument(
        "--target",
        choices=SWEPT,
        default="train_phase2",
        help="the last stage that each trial runs (default: train_phase2)",
    )
    command.add_argument(
        "--seed", type=int, default=1, help="another seed makes the search choose other values (default: 1)"
    )
    command.set_defaults(run=sweep)


def sweep(arguments: argparse.Namespace) -> None:
    """Train with many values of some parameters."""
    given = {name: getattr(arguments, name) for name in Sweeping.model_fields}
    reading.check(Sweeping, given, options.COMMAND_LINE)
    from voicetune.sweep import command, values  # Optuna: not needed for --help

    spaces = values.parse(arguments.set)
    ranges = [text for text, space in zip(arguments.set, spaces, strict=True) if isinstance(space, values.Range)]
    if ranges and arguments.trials is None:
        raise UserError(
            f"a range such as {ranges[0]} needs --trials N, which says how many values are tried, because it has no"
            " last value."
        )
    command.run(
        command.Sweep(
            arguments.name, spaces, arguments.trials, arguments.seed, arguments.target, arguments.prune,
            arguments.parallel, arguments.threads or command.threads_for(arguments.parallel),
        )
    )  # fmt: skip
