"""The command line: `python -m voicetune say "..." --out x.wav`, and the other commands.

Where the package is installed, `voicetune say ...` is the same (pyproject.toml, `[project.scripts]`).
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from voicetune import entry, families, files, readiness, terminal
from voicetune.data import consent, decisions
from voicetune.data.readers.source import Consent
from voicetune.device import choose_device
from voicetune.errors import UserError, shown
from voicetune.kept import voices
from voicetune.params import reading, whole
from voicetune.params.decoding import Decoding
from voicetune.params.languages import LANGUAGES
from voicetune.params.speaking import Synthesize, Tries
from voicetune.params.training import PHASES
from voicetune.training import state_folders

if TYPE_CHECKING:
    import numpy as np

    from voicetune.model import Speaker
    from voicetune.speech.checking import Checks
    from voicetune.speech.say import Said
    from voicetune.speech.voice import Voice

VOICE = Path("models/voice")
SWEPT = ("train_phase1", "train_phase2", "compare", "report")  # the last stage of a sweep's experiments
_SHORTEST_REFERENCE = 0.5  # seconds; XTTS's own recipe asks for three to six


class Agreed(reading.Section):
    """The argument of `export` that says who agreed to what."""

    consent: Consent


class CommandLine(reading.Section):
    """Arguments of the command line that params.yaml does not have."""

    seed: reading.Seed


class Serving(reading.Section):
    """Arguments of `serve`."""

    port: Annotated[int, Field(ge=0, le=65535, examples=[8020])]
    tries: Tries
    limit_characters: Annotated[int, Field(ge=1, le=1_000_000, examples=[4096])]
    limit_client: Annotated[int, Field(ge=1, le=100_000, examples=[16])]
    limit_waiting: Annotated[int, Field(ge=1, le=100_000, examples=[128])]
    limit_seconds: Annotated[float, Field(gt=0, le=86_400, examples=[60])]
    limit_drain: Annotated[float, Field(ge=1, le=86_400, examples=[30])]


class Sweeping(reading.Section):
    """Arguments of `sweep`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=40, examples=["rates"])]
    trials: Annotated[int, Field(ge=1, le=1000)] | None
    seed: reading.Seed
    parallel: Annotated[int, Field(ge=1, le=256, examples=[1])]
    threads: Annotated[int, Field(ge=1, le=1024)] | None


def say(arguments: argparse.Namespace) -> None:
    """Speak a line, or the lines of a script, with a model folder."""
    if (arguments.text is None) == (arguments.script is None):
        raise UserError("give either a text to say or a --script.")
    given = {name: getattr(arguments, name) for name in ("speed", "loudness", "tries")}
    reading.check(CommandLine, {"seed": arguments.seed}, "the command line")
    rest = {"lines": ["-"], "language": "en", "format": "wav", "check_words": False, "watermark": arguments.watermark}
    reading.check(Synthesize, {**rest, **given}, "the command line")
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


def _decoding(arguments: argparse.Namespace, voice: "Voice") -> Decoding:
    """The model folder's decoding. Values from the command line override it.

    An unpublished folder of this repository has no decoding. It was measured with that of params.yaml, so that one is
    used if params.yaml exists.
    """
    given = {"temperature": arguments.temperature, "repetition_penalty": arguments.repetition_penalty}
    given = {name: value for name, value in given.items() if value is not None}
    unpublished = voice.has_facts and "decoding" not in voice.facts and reading.PATH.is_file()
    known = whole.load().decoding if unpublished else voice.decoding()
    return reading.check(Decoding, {**known.model_dump(), **given}, "the command line")


def _say_line(arguments: argparse.Namespace) -> None:
    from voicetune.data import formats  # sound and torch: not needed for --help

    out = arguments.out or Path("said.wav")
    _check_text(arguments.text)
    format = formats.format_of(out)
    formats.check_place(out)
    from voicetune.speech import say as speech
    from voicetune.speech.voice import Line, Voice

    voice = Voice(arguments.model, choose_device(arguments.device))
    speaker = _speakers(arguments, voice)(arguments.speaker)
    line = Line(arguments.text, arguments.language or voice.language, arguments.speed)
    decoding, checks = _decoding(arguments, voice), _checks(arguments)
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
    language = arguments.language or language_of(arguments.model)
    name = _name_of(arguments.reference) if arguments.reference else arguments.speaker
    takes, faults = script.read(arguments.script, Line("", language, arguments.speed), name, arguments.format)
    voice = Voice(arguments.model, choose_device(arguments.device))
    code = closure.sha256(script.__name__, closure.SRC)
    manner = script.Manner(
        _decoding(arguments, voice), arguments.seed, arguments.loudness, _checks(arguments), code, arguments.watermark
    )
    made = script.make(voice, takes, _speakers(arguments, voice), out, manner)
    faults |= made.faults
    for number in sorted(faults):
        print(shown(f"{arguments.script}, line {number}: {faults[number]}"), file=sys.stderr)
    seconds = sum(row["seconds"] for row in made.rows)
    print(shown(f"{out}: {len(made.rows)} lines, {seconds:.1f} s; {made.anew} new, {len(made.rows) - made.anew} kept"))
    print(made.checked())
    if faults:
        raise UserError(f"{len(faults)} of the script's lines could not be spoken; correct them and run this again.")


def _checks(arguments: argparse.Namespace) -> "Checks":
    from voicetune.speech.checking import Checks  # sound and torch: not needed for --help

    return Checks(arguments.tries, arguments.asr, "--asr")


def _describe_checks(said: "Said", checks: "Checks") -> str:
    """What the checks found in a line, and what was done about it."""
    if not said.found:
        return f"the checks found no fault in the sound{' and the words' if checks.asr else ''}"
    left = f"which {', '.join(dict.fromkeys(said.left))}" if said.left else "and has no fault now"
    times = "once" if said.draws == 1 else f"{said.draws} times"
    return f"it {', '.join(dict.fromkeys(said.found))}: drawn {times}, {left}"


def _speakers(arguments: argparse.Namespace, voice: "Voice") -> Callable[[str | None], "Speaker"]:
    """Return a function that finds a speaker by name. Without a name, it returns the voice of --reference, if given."""
    if not arguments.reference:
        return voice.speaker
    given = voice.model.compute_speaker([_reference(arguments.reference)])
    known = (None, arguments.speaker, _name_of(arguments.reference))
    return lambda name: given if name in known else voice.speaker(name)


def _name_of(path: Path) -> str:
    """A file's name in UTF-8; invalid bytes become replacement characters."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def _reference(path: Path) -> "np.ndarray":
    """Read and clean a reference recording: (samples,) float32 at 22,050 Hz."""
    from voicetune.data import audio, recordings

    samples, rate = recordings.read(path)
    if fault := audio.fault_of(samples):
        raise UserError(f"{path} is {fault}; give a recording of the speaker as --reference.")
    cleaned = audio.clean(samples, rate, trim_db=45, loudness=-23, peak=0.95)
    if (seconds := cleaned.size / audio.SAMPLE_RATE) < _SHORTEST_REFERENCE:
        raise UserError(f"{path} has {seconds:.2f} s of sound; --reference needs {_SHORTEST_REFERENCE} s, better 6.")
    return cleaned


def _given(path: Path) -> "tuple[np.ndarray, int]":
    """A reference recording, and its rate in Hz."""
    from voicetune.data import audio

    return _reference(path), audio.SAMPLE_RATE


def export(arguments: argparse.Namespace) -> None:
    """Copy a model folder so that it can be given away."""
    export = families.export(arguments.model)
    given = reading.check(Agreed, {"consent": arguments.consent}, "the command line").consent
    facts = families.folder(arguments.model).read_facts(arguments.model)
    from voicetune import giving
    from voicetune.model import Gift  # imports torch

    lines = consent.describe(consent.read_entries(arguments.model, facts), given)
    sound = None
    if arguments.out.suffix == ".zip":
        sound = _given(arguments.reference) if arguments.reference else giving.reference(arguments.model)
    measured = giving.measured(arguments.model)
    gift = Gift(lines, measured, arguments.half, arguments.safetensors, sound)
    export.export(arguments.model, arguments.out, gift)
    blank = any(consent.UNSIGNED in line for line in lines)
    if sound:
        print(shown(f"{arguments.out} has recordings of the speaker (ref.wav); do not commit it or pass it on unasked"))
    print(shown(f"{arguments.out}: see {export.CARD} there" + (", and fill in who agreed" if blank else "")))


def keep(arguments: argparse.Namespace) -> None:
    """Keep the published voice under a name."""
    from voicetune.kept import keeping  # not needed for --help

    folder = keeping.keep(arguments.name)
    print(f"{folder} is kept; commit it: `git add {folder}.dvc {voices.FOLDER}/.gitignore && git commit`")
    if changed := keeping.uncommitted():
        print(shown(f"warning: commit {', '.join(changed)} too, so that git has what made this voice"))


def kept_voices(arguments: argparse.Namespace) -> None:
    """List the published voice and the kept ones, or remove some of those."""
    from voicetune.kept import keeping, table  # rich tables: not needed for --help

    for name in arguments.remove:
        keeping.remove(name)
        print(f"removed {name}; DVC's cache has it until `make clean-cache`")
    if not arguments.remove:
        table.show()


def states(arguments: argparse.Namespace) -> None:
    """List the states of unfinished trainings, remove some, or carry them to another machine."""
    here = state_folders.root(Path.cwd())
    if arguments.to or arguments.from_:
        return _carry(here, arguments)
    known = {one.folder.name: one for one in state_folders.find(here)}
    chosen = list(known) if arguments.remove == ["all"] else arguments.remove
    for name in chosen:
        if name not in known:
            raise UserError(f"there is no state '{name}'; `python -m voicetune states` lists what there is.")
    state_folders.check_unused([known[name] for name in chosen])
    for name in chosen:
        state_folders.remove(known[name].folder)
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
    again = arguments.every is not None
    faults = 0
    for one in carrying.repeat(source, target, arguments.every) if again else carrying.carry(source, target):
        if one.fault:
            faults += 1
            print(shown(f"warning: {one.name} was not carried: {one.fault}"), file=sys.stderr, flush=True)
        else:
            print(shown(f"{one.name}  step {one.step}  carried to {target}"), flush=True)
    if faults:
        raise UserError("not every state was carried; see the warnings, and run this again.")


def listening_test(arguments: argparse.Namespace) -> None:
    """Build the blind listening page, or read what its listeners saved."""
    settings = whole.load()
    from voicetune.listening import command  # rich tables and the page: not needed for --help

    if arguments.results:
        command.read(arguments.results, settings)
    else:
        command.build(arguments.sentences, settings, open_it=not arguments.no_open)


def check(arguments: argparse.Namespace) -> None:
    """Check params.yaml, so that a fault in it is reported even if DVC then finds that nothing changed.

    Check the table of decisions too, because DVC does not say what to do if it is missing.
    """
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


def forget(arguments: argparse.Namespace) -> None:
    """Show what there is of a speaker, or remove it."""
    from voicetune.forget import command

    command.run(Path.cwd(), arguments.speaker, list(whole.load().prepare.sources), arguments.yes)


def verdict(arguments: argparse.Namespace) -> None:
    """Print the verdict of the figures on the published voice."""
    from voicetune.report import verdict  # not needed for --help

    verdict.show(verdict.read(Path.cwd()))
    print("metrics/report/index.html has the figures, docs/measuring.md the limits")


def compare(arguments: argparse.Namespace) -> None:
    """Compare revisions on a page."""
    from voicetune.revisions import command  # DVC and the report: not needed for --help

    command.run(Path.cwd(), arguments.revisions, arguments.out, arguments.fetch)


def serve(arguments: argparse.Namespace) -> None:
    """Serve voices over HTTP."""
    given = {name: getattr(arguments, name) for name in Serving.model_fields}
    reading.check(Serving, given, "the command line")
    from voicetune.service import command  # torch and a web server: not needed for --help
    from voicetune.service.queue import Limits

    limits = Limits(
        arguments.limit_characters, arguments.limit_client, arguments.limit_waiting, arguments.limit_seconds
    )
    command.run(
        arguments.voice or [str(VOICE)], arguments.host, arguments.port, choose_device(arguments.device),
        _checks(arguments), limits, arguments.limit_drain, arguments.watermark,
    )  # fmt: skip


def sweep(arguments: argparse.Namespace) -> None:
    """Train with many values of some parameters."""
    given = {name: getattr(arguments, name) for name in Sweeping.model_fields}
    reading.check(Sweeping, given, "the command line")
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


def find_watermark(arguments: argparse.Namespace) -> None:
    """Say of each sound file whether it bears the watermark."""
    from voicetune.data import recordings  # sound: not needed for --help
    from voicetune.speech import watermark

    watermark.open_networks()
    for path in arguments.files:
        sure = watermark.find(*recordings.read(path))
        found = "watermarked" if sure >= watermark.CONFIDENT else "no watermark"
        print(shown(f"{path}: {found} (confidence that there is one: {sure:.3f})"))


def space(arguments: argparse.Namespace) -> None:
    """Show how much of the disk each kind of file takes, or remove one kind."""
    from voicetune import space  # rich tables, DVC: not needed for --help

    root = Path.cwd()
    if arguments.clean == "made":
        files, freed = space.remove_made(root)
        print(f"removed {files} files, {space.readable(freed)}; `dvc checkout` brings back what the cache still has")
    elif arguments.clean == "states":
        print(f"removed {space.remove_states(root, arguments.yes)} states of unfinished trainings")
    elif arguments.clean == "cache":
        space.collect_garbage(root, arguments.yes)
    else:
        terminal.console.print(space.table(space.measure(root)))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="voicetune", description="Speak with a fine-tuned voice; check, list and remove what a project holds."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_say(commands)
    _add_serve(commands)
    _add_for_voices(commands)
    _add_for_runs(commands)
    _add_sweep(commands)
    return top


def _add_for_voices(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("export", help="copy a model folder with licence and consent, to give it away")
    command.add_argument("out", type=Path, help="a folder to be made; or a .zip file, as other programs load it")
    _add_model(command)
    command.add_argument("--consent", help="who agreed, when, and to what, if params.yaml does not say it")
    command.add_argument("--half", action="store_true", help="weights in half precision: half the size")
    command.add_argument("--safetensors", action="store_true", help="the weights as safetensors, too")
    command.add_argument("--reference", type=Path, help="ref.wav of a .zip (the clips that the voice was taken from)")
    command.set_defaults(run=export)
    command = commands.add_parser("keep", help="keep the published voice under a name, before another one is made")
    command.add_argument("name", help="of the voice: letters, digits, hyphens and underscores")
    command.set_defaults(run=keep)
    command = commands.add_parser("voices", help="list the published voice and the kept ones, or remove some of those")
    command.add_argument("--remove", nargs="+", default=[], metavar="NAME", help="remove these kept voices")
    command.set_defaults(run=kept_voices)
    command = commands.add_parser("states", help="list, remove or carry the states of unfinished trainings")
    command.add_argument("--remove", nargs="+", default=[], metavar="NAME", help="remove these, or `all`")
    place = command.add_mutually_exclusive_group()
    place.add_argument("--to", type=Path, metavar="FOLDER", help="copy the newest state of each training there")
    place.add_argument("--from", type=Path, metavar="FOLDER", dest="from_", help="copy the states of that folder here")
    command.add_argument("--every", type=int, metavar="SECONDS", help="do so again and again, until stopped")
    command.set_defaults(run=states)
    command = commands.add_parser("listen", help="build the blind listening page, or read what its listeners saved")
    command.add_argument("results", type=Path, nargs="*", metavar="results.json", help="files saved by the page")
    command.add_argument("--sentences", type=int, default=8, help="how many, each in 3 pairs and 4 ratings (8)")
    command.add_argument("--no-open", action="store_true", help="do not open the page in the browser")
    command.set_defaults(run=listening_test)


def _add_model(command: argparse.ArgumentParser) -> None:
    """Add the two ways to say which model speaks."""
    which = command.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, default=VOICE, help="a model folder (models/voice)")
    which.add_argument(
        "--voice", type=voices.find, dest="model", metavar="NAME", help="a kept voice (docs/several-voices.md)"
    )


def _add_for_runs(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("check", help="check params.yaml")
    command.add_argument("params", type=Path, nargs="?", default=Path("params.yaml"))
    command.set_defaults(run=check)
    command = commands.add_parser("doctor", help="say what the machine and the project lack for a run")
    command.set_defaults(run=doctor)
    command = commands.add_parser("ready", help="check and fetch what a run will need (each phase does so by itself)")
    command.add_argument("phase", choices=PHASES, nargs="?", default=PHASES[0], help=f"from here on ({PHASES[0]})")
    command.set_defaults(run=ready)
    command = commands.add_parser("deps", help="print the files that each stage runs (dvc.yaml lists them)")
    command.add_argument("--write", action="store_true", help="bring dvc.yaml up to date")
    command.set_defaults(run=deps)
    command = commands.add_parser("explain", help="why results here may differ in their bytes: machine and packages")
    command.set_defaults(run=explain)
    command = commands.add_parser("space", help="show what takes how much of the disk, or remove what can be had again")
    command.add_argument("--clean", choices=("made", "states", "cache"), help="remove this, rather than show")
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.set_defaults(run=space)
    command = commands.add_parser("forget", help="list or remove a speaker's recordings and all that was made of them")
    command.add_argument("speaker", help="as params.yaml or a list of recordings names the speaker")
    command.add_argument("--yes", action="store_true", help="remove it; without this it is only listed")
    command.set_defaults(run=forget)
    command = commands.add_parser(
        "verdict", help="is the published voice understood, is it the speaker, was it worth it?"
    )
    command.set_defaults(run=verdict)
    command = commands.add_parser("compare", help="the results of several revisions on one page")
    command.add_argument(
        "revisions", nargs="+", metavar="REV", help="a commit, branch or tag, an experiment's name, or `workspace`"
    )
    command.add_argument("--out", type=Path, default=Path("compared"), help="a folder to be made (compared)")
    command.add_argument("--fetch", action="store_true", help="get from a remote what DVC's cache lacks")
    command.set_defaults(run=compare)


def _add_say(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("say", help="speak a text into a sound file, or a script's lines into a folder")
    command.add_argument("text", nargs="?")
    command.add_argument("--script", type=Path, help=".txt, a line each; or .csv or .tsv: text, voice, language, speed")
    command.add_argument(
        "--out", type=Path, help="a .wav, .flac, .mp3 or .ogg file (said.wav), or a script's folder (said)"
    )
    command.add_argument("--format", choices=("wav", "flac", "mp3", "ogg"), default="wav", help="of a script's files")
    _add_model(command)
    command.add_argument("--speaker", help="one of the folder's speakers; not needed if it has one")
    command.add_argument("--reference", type=Path, help="a recording whose voice is taken instead")
    command.add_argument("--language", choices=sorted(LANGUAGES), help="(the one the voice was trained in)")
    command.add_argument("--speed", type=float, default=1.0, help="0.5 to 2; the pitch stays")
    command.add_argument("--loudness", type=float, default=-23.0, help="LUFS (-23)")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--tries", type=int, default=4, help="draws of a part that has a fault, at most (4)")
    command.add_argument("--asr", help="a recogniser, such as tiny.en, that checks the words (none)")
    command.add_argument("--temperature", type=float, help="0 is greedy (the voice's own)")
    command.add_argument("--repetition-penalty", type=float, help="(the voice's own)")
    command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    _add_watermark(command)
    command.set_defaults(run=say)
    command = commands.add_parser("watermark", help="say whether sound files bear the watermark of synthetic speech")
    command.add_argument("files", type=Path, nargs="+", metavar="FILE")
    command.set_defaults(run=find_watermark)


def _add_watermark(command: argparse.ArgumentParser) -> None:
    command.add_argument("--watermark", action="store_true", help="mark the sound, inaudibly, as synthetic speech")


def _add_serve(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser("serve", help="speak what programs ask for over HTTP, in the form of OpenAI's API")
    command.add_argument(
        "--voice", action="append", metavar="NAME",
        help="a kept voice; or a model folder, FOLDER or NAME=FOLDER; several times (models/voice)",
    )  # fmt: skip
    command.add_argument("--host", default="127.0.0.1", help="whose address is listened on (127.0.0.1)")
    command.add_argument("--port", type=int, default=8020)
    command.add_argument("--tries", type=int, default=4, help="draws of a part that has a fault, at most (4)")
    command.add_argument("--asr", help="a recogniser, such as tiny.en, that checks the words (none)")
    command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    command.add_argument("--limit-characters", type=int, default=4096, help="of a text (4096)")
    command.add_argument("--limit-client", type=int, default=16, help="texts of one client that wait (16)")
    command.add_argument("--limit-waiting", type=int, default=128, help="texts that wait in all (128)")
    command.add_argument("--limit-seconds", type=float, default=60, help="that a part may take, with waiting (60)")
    command.add_argument("--limit-drain", type=float, default=30, help="seconds for what has begun, at the end (30)")
    _add_watermark(command)
    command.set_defaults(run=serve)


def _add_sweep(commands: "argparse._SubParsersAction") -> None:
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


def main() -> None:
    entry.run(_run)


def _run() -> None:
    arguments = parser().parse_args()  # --voice reads a folder, and may refuse it
    arguments.run(arguments)


if __name__ == "__main__":
    main()
