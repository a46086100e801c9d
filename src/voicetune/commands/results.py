"""The commands about results: `verdict` on the published voice, `compare` of several revisions."""

import argparse
from pathlib import Path


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser(
        "verdict", help="say whether the voice is understood, is the speaker's, and was worth the training"
    )
    command.set_defaults(run=verdict)
    command = commands.add_parser("compare", help="put the results of several commits or experiments on one page")
    command.add_argument(
        "revisions",
        nargs="+",
        metavar="REV",
        help="a commit, a branch, a tag, an experiment's name, or `workspace` for the folder as it is now",
    )
    command.add_argument(
        "--out", type=Path, default=Path("compared"), metavar="FOLDER", help="a folder to be made (default: compared)"
    )
    command.add_argument("--fetch", action="store_true", help="fetch from a remote what DVC's cache lacks")
    command.set_defaults(run=compare)


def verdict(arguments: argparse.Namespace) -> None:
    """Print the verdict of the figures on the published voice."""
    from voicetune.report import verdict  # not needed for --help

    verdict.show(verdict.read(Path.cwd()))
    print("metrics/report/index.html has the figures, docs/measuring.md the limits")


def compare(arguments: argparse.Namespace) -> None:
    """Compare revisions on a page."""
    from voicetune.revisions import command  # DVC and the report: not needed for --help

    command.run(Path.cwd(), arguments.revisions, arguments.out, arguments.fetch)
