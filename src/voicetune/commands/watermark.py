"""The command `watermark`: whether sound files bear the watermark of synthetic speech."""

import argparse
from pathlib import Path

from voicetune.errors import shown


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("watermark", help="say whether sound files have the watermark of synthetic speech")
    command.add_argument("files", type=Path, nargs="+", metavar="FILE", help="sound files")
    command.set_defaults(run=find_watermark)


def find_watermark(arguments: argparse.Namespace) -> None:
    """Say of each sound file whether it bears the watermark."""
    from voicetune.data import recordings  # sound: not needed for --help
    from voicetune.speech import watermark

    watermark.open_networks()
    for path in arguments.files:
        sure = watermark.find(*recordings.read(path))
        found = "watermarked" if sure >= watermark.CONFIDENT else "no watermark"
        print(shown(f"{path}: {found} (confidence that there is one: {sure:.3f})"))
