"""The command `say`: a text into a sound file, or the lines of a script into a folder."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from voicetune import files
from voicetune.commands import options, reference
from voicetune.device import choose_device
from voicetune.errors import UserError, shown
from voicetune.params import reading, whole
from voicetune.params.decoding import Decoding
from voicetune.params.speaking import Synthesize

if TYPE_CHECKING:
    from voicetune.model import Speaker
    from voicetune.speech.checking import Checks
    from voicetune.speech.say import Said
    from voicetune.speech.voice import Voice

FORMATS = ("wav", "flac", "mp3", "ogg")


class CommandLine(reading.Section):
    """Arguments of the command line that params.yaml does not have."""

    seed: reading.Seed


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("say", help="speak a text into a sound file, or a script's lines into a folder")
    command.add_argument("text", nargs="?", help="what to say; or give a --script")
    command.add_argument(
        "--script", type=Path, metavar="FILE",
        help="a .txt with a text on each line; or a .csv or .tsv with the column text and, if wanted, voice, language"
        " and speed",
    )  # fmt: skip
    command.add_argument(
        "--out", type=Path, metavar="PATH",
        help="a file that ends in .wav, .flac, .mp3 or .ogg (default: said.wav); with --script, a folder (default:"
        " said)",
    )  # fmt: skip
    command.add_argument("--format", choices=FORMATS, help=f"what the files of a --script are (default: {FORMATS[0]})")
    options.add_model(command)
    command.add_argument("--speaker", metavar="NAME", help="who speaks; needed if the model has several speakers")
    command.add_argument("--reference", type=Path, metavar="FILE", help="speak in the voice of this recording instead")
    command.add_argument(
        "--language", type=options.language, metavar="CODE",
        help="of the text, such as en (default: the one that the voice was trained in)",
    )  # fmt: skip
    command.add_argument(
        "--speed", type=float, default=1.0, help="0.5 to 2: half or twice as fast; the pitch stays (default: 1)"
    )
    command.add_argument(
        "--loudness", type=float, default=-23.0, metavar="LUFS", help="of the sound, in LUFS (default: -23)"
    )
    command.add_argument("--seed", type=int, default=1, help="another seed speaks the text in another way (default: 1)")
    options.add_checks(command)
    command.add_argument(
        "--temperature", type=float, metavar="T",
        help="0 to 2: how much is left to chance; 0 is nothing (default: the voice's own)",
    )  # fmt: skip
    command.add_argument(
        "--repetition-penalty", type=float, metavar="P",
        help="1 to 20: how much sounds that were just made are avoided; 1 is not at all (default: the voice's own)",
    )  # fmt: skip
    options.add_device(command)
    options.add_watermark(command)
    command.set_defaults(run=say)


def say(arguments: argparse.Namespace) -> None:
    """Speak a line, or the lines of a script, with a model folder."""
    if (arguments.text is None) == (arguments.script is None):
        raise UserError("give either a text to say or a --script.")
    if arguments.format and not arguments.script:
        raise UserError(
            "--format is for the files of a --script; the format of one text is the ending of --out, such as"
            f" --out said.{arguments.format}."
        )
    given = {name: getattr(arguments, name) for name in ("speed", "loudness", "tries")}
    reading.check(CommandLine, {"seed": arguments.seed}, options.COMMAND_LINE)
    rest = {"lines": ["-"], "language": "en", "format": "wav", "check_words": False, "watermark": arguments.watermark}
    reading.check(Synthesize, {**rest, **given}, options.COMMAND_LINE)
    if arguments.watermark:
        from voicetune.speech import watermark

        watermark.open_networks()
    if arguments.script:
        _say_script(arguments)
    else:
        _say_line(arguments)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:  # the argument was not UTF-8, so Python decoded it to surrogates
        raise UserError("the text is not UTF-8; give it in the encoding UTF-8.") from None
    from voicetune.data import words

    if fault := words.fault_of(text):
        raise UserError(f"there is nothing to say ({fault}); give a text with words.")


def _say_line(arguments: argparse.Namespace) -> None:
    from voicetune.data import formats  # sound and torch: not needed for --help

    out = arguments.out or Path("said.wav")
    _check_text(arguments.text)
    format = formats.format_of(out)
    formats.check_place(out)
    options.check_model(arguments.model)
    from voicetune.speech import say as speech
    from voicetune.speech.language_check import check_language
    from voicetune.speech.voice import Line, Voice

    voice = Voice(arguments.model, choose_device(arguments.device))
    speaker = _speakers(arguments, voice)(arguments.speaker)
    line = Line(arguments.text, arguments.language or voice.language, arguments.speed)
    check_language(voice, line.language)
    decoding, checks = _decoding(arguments, voice), options.read_checks(arguments)
    (said,) = speech.say(
        voice, [line], [speaker], decoding, arguments.seed, arguments.loudness, checks, arguments.watermark
    )
    if said.sound.size == 0:
        raise UserError("the model said nothing for this line; try another seed or temperature.")
    files.put(out, formats.encode(said.sound, voice.rate, format, formats.SYNTHETIC))
    print(shown(f"{out}: {len(said.sound) / voice.rate:.1f} s; {_describe_checks(said, checks)}"))


def _say_script(arguments: argparse.Namespace) -> None:
    from voicetune import closure
    from voicetune.speech import script  # sound and torch: not needed for --help
    from voicetune.speech.voice import Line, Voice, language_of

    out = arguments.out or Path("said")
    if files.is_file(out):
        raise UserError(f"{out} is a file, but --script needs a folder as --out; choose another name.")
    options.check_model(arguments.model)
    language = arguments.language or language_of(arguments.model)
    name = reference.name_of(arguments.reference) if arguments.reference else arguments.speaker
    takes, faults = script.read(
        arguments.script, Line("", language, arguments.speed), name, arguments.format or FORMATS[0]
    )
    voice = Voice(arguments.model, choose_device(arguments.device))
    code = closure.sha256(script.__name__, closure.SRC)
    decoding, checks = _decoding(arguments, voice), options.read_checks(arguments)
    manner = script.Manner(decoding, arguments.seed, arguments.loudness, checks, code, arguments.watermark)
    made = script.make(voice, takes, _speakers(arguments, voice), out, manner)
    faults |= made.faults
    for number in sorted(faults):
        print(shown(f"{arguments.script}, line {number}: {faults[number]}"), file=sys.stderr)
    seconds = sum(row["seconds"] for row in made.rows)
    print(shown(f"{out}: {len(made.rows)} lines, {seconds:.1f} s; {made.anew} new, {len(made.rows) - made.anew} kept"))
    print(made.checked())
    if faults:
        raise UserError(f"{len(faults)} of the script's lines could not be spoken; correct them and run this again.")


def _decoding(arguments: argparse.Namespace, voice: "Voice") -> Decoding:
    """The model folder's decoding. Values from the command line override it.

    An unpublished folder of this repository has no decoding. It was measured with that of params.yaml, so that one is
    used if params.yaml exists.
    """
    given = {"temperature": arguments.temperature, "repetition_penalty": arguments.repetition_penalty}
    given = {name: value for name, value in given.items() if value is not None}
    unpublished = voice.has_facts and "decoding" not in voice.facts and reading.PATH.is_file()
    known = whole.load().decoding if unpublished else voice.decoding()
    return reading.check(Decoding, {**known.model_dump(), **given}, options.COMMAND_LINE)


def _speakers(arguments: argparse.Namespace, voice: "Voice") -> Callable[[str | None], "Speaker"]:
    """Return a function that finds a speaker by name. Without a name, it returns the voice of --reference, if given."""
    if not arguments.reference:
        return voice.speaker
    given = voice.model.compute_speaker([reference.read(arguments.reference)])
    known = (None, arguments.speaker, reference.name_of(arguments.reference))
    return lambda name: given if name in known else voice.speaker(name)


def _describe_checks(said: "Said", checks: "Checks") -> str:
    """What the checks found in a line, and what was done about it."""
    if not said.found:
        return f"the checks found no fault in the sound{' and the words' if checks.asr else ''}"
    left = f"which {', '.join(dict.fromkeys(said.left))}" if said.left else "and has no fault now"
    times = "once" if said.draws == 1 else f"{said.draws} times"
    return f"it {', '.join(dict.fromkeys(said.found))}: drawn {times}, {left}"
