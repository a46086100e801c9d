"""The command `export`: a model folder to give away."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from voicetune import families
from voicetune.commands import options, reference
from voicetune.data import consent
from voicetune.data.readers.source import Consent
from voicetune.errors import shown
from voicetune.params import reading

if TYPE_CHECKING:
    import numpy as np


class Agreed(reading.Section):
    """The argument of `export` that says who agreed to what."""

    consent: Consent


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("export", help="copy a model folder with licence and consent, to give it away")
    command.add_argument("out", type=Path, help="a folder to be made, or a .zip file, which other programs load")
    options.add_model(command)
    command.add_argument(
        "--consent", metavar="TEXT", help="who agreed, when, and to what, if params.yaml does not say it"
    )
    command.add_argument("--half", action="store_true", help="store the weights in half precision: half the size")
    command.add_argument("--safetensors", action="store_true", help="add the weights as safetensors, too")
    command.add_argument(
        "--reference", type=Path, metavar="FILE",
        help="a recording of the speaker for the .zip, as ref.wav (default: the clips that the voice was taken from)",
    )  # fmt: skip
    command.set_defaults(run=export)


def export(arguments: argparse.Namespace) -> None:
    """Copy a model folder so that it can be given away."""
    options.check_model(arguments.model)
    export = families.export(arguments.model)
    given = reading.check(Agreed, {"consent": arguments.consent}, options.COMMAND_LINE).consent
    facts = families.folder(arguments.model).read_facts(arguments.model)
    from voicetune import giving
    from voicetune.model import Gift  # imports torch

    lines = consent.describe(consent.read_entries(arguments.model, facts), given)
    sound = _reference(arguments) if arguments.out.suffix == ".zip" else None
    gift = Gift(lines, giving.measured(arguments.model), arguments.half, arguments.safetensors, sound)
    export.export(arguments.model, arguments.out, gift)
    blank = any(consent.UNSIGNED in line for line in lines)
    if sound:
        print(shown(f"{arguments.out} has recordings of the speaker (ref.wav); do not commit it or pass it on unasked"))
    print(shown(f"{arguments.out}: see {export.CARD} there" + (", and fill in who agreed" if blank else "")))


def _reference(arguments: argparse.Namespace) -> "tuple[np.ndarray, int]":
    """The recordings of the speaker that go with a .zip: (samples,) float32, and their rate in Hz."""
    from voicetune import giving
    from voicetune.data import audio

    if not arguments.reference:
        return giving.reference(arguments.model)
    return reference.read(arguments.reference), audio.SAMPLE_RATE
