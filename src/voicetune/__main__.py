"""The command line: `voicetune say "..." --out x.wav`, and the other commands.

`python -m voicetune say ...` is the same. Messages and pages say `voicetune`, which the set-up installs
(pyproject.toml, `[project.scripts]`).
"""

import argparse

from voicetune import entry
from voicetune.commands import (
    export,
    extend,
    forget,
    listen,
    results,
    runs,
    say,
    serve,
    space,
    states,
    sweep,
    voices,
    watermark,
)

COMMANDS = (say, watermark, serve, export, extend, voices, states, listen, runs, space, forget, results, sweep)
"""In the order of `--help`."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="voicetune",
        description="Speak with a fine-tuned voice, and manage the project that it is made in.",
        epilog="`voicetune COMMAND --help` explains a command, and README.md the project.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for one in COMMANDS:
        one.add(commands)
    return top


def main() -> None:
    entry.run(_run)


def _run() -> None:
    arguments = parser().parse_args()  # --voice reads a folder, and may refuse it
    arguments.run(arguments)


if __name__ == "__main__":
    main()
