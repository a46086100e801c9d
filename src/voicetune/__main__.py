"""The command line: `python -m voicetune say "..." --out x.wav`, and the other commands.

Where the package is installed, `voicetune say ...` is the same (pyproject.toml, `[project.scripts]`).
"""

import argparse

from voicetune import entry
from voicetune.commands import (
    export,
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

COMMANDS = (say, watermark, serve, export, voices, states, listen, runs, space, forget, results, sweep)
"""In the order of `--help`."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="voicetune", description="Speak with a fine-tuned voice; check, list and remove what a project holds."
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
