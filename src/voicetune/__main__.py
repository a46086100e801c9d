"""The command line: `python -m voicetune say "..." --out x.wav`, and what else is done with a model folder."""

import argparse
from pathlib import Path

from voicetune import params, stage
from voicetune.errors import UserError


def say(arguments: argparse.Namespace) -> None:
    """Speak one line with any model folder."""
    import soundfile  # sound and torch: not needed for --help

    from voicetune.data import audio
    from voicetune.speech.voice import Line, Voice, listen

    if not arguments.text.strip():
        raise UserError("there is nothing to say; give a text.")
    if arguments.out.suffix.lower() not in (".wav", ".flac"):
        raise UserError(f"{arguments.out} should end in .wav or .flac.")
    if not arguments.out.parent.is_dir():
        raise UserError(f"the folder {arguments.out.parent} does not exist; make it, or choose another --out.")
    chosen = {"temperature": arguments.temperature, "repetition_penalty": arguments.repetition_penalty}
    decoding = params.check(params.Decoding, chosen, "the command line")
    voice = Voice(arguments.model, stage.device(arguments.device))
    if arguments.reference:
        samples, rate = audio.read(arguments.reference)
        cleaned = audio.clean(samples, rate, trim_db=45, loudness=-23, peak=0.95)
        speaker = listen(voice.xtts, [cleaned])
    else:
        speaker = voice.speaker(arguments.speaker)
    line = Line(arguments.text, arguments.language)
    sound = voice.speak([line], [speaker], decoding, arguments.seed)[0]
    if sound.size == 0:
        raise UserError("the model said nothing for this line; try another seed or temperature.")
    soundfile.write(arguments.out, sound, voice.rate, subtype="PCM_16")
    print(f"{arguments.out}: {len(sound) / voice.rate:.1f} s")


def export(arguments: argparse.Namespace) -> None:
    """Copy a model folder so that it can be given away."""
    from voicetune.xtts import export  # torch: not needed for --help

    export.export(arguments.model, arguments.out, arguments.consent)
    print(f"{arguments.out}: see {export.CARD} there" + ("" if arguments.consent else ", and fill in who agreed"))


def states(arguments: argparse.Namespace) -> None:
    """List the states of unfinished trainings, or remove some."""
    from voicetune.training import checkpoint  # torch: not needed for --help

    known = {one.folder.name: one for one in checkpoint.kept(checkpoint.root(Path.cwd()))}
    chosen = list(known) if arguments.remove == ["all"] else arguments.remove
    for name in chosen:
        if name not in known:
            raise UserError(f"there is no state '{name}'; `python -m voicetune states` lists what there is.")
        if known[name].used:
            raise UserError(f"the state '{name}' is in use by a training; stop that first.")
    for name in chosen:
        checkpoint.State(known[name].folder).remove()
        print(f"removed {name}")
    for name, one in known.items():
        if name not in chosen:
            at = "no step yet" if one.step is None else f"step {one.step}"
            use = "in use" if one.used else f"last written {one.days:.1f} days ago"
            print(f"{name}  {at}  {one.bytes / 1e6:.0f} MB  {use}")
    if not known:
        print("no training was left unfinished")


def check(arguments: argparse.Namespace) -> None:
    """Read params.yaml, so that a fault in it is said before DVC decides that nothing changed."""
    params.load(arguments.params)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="voicetune", description="Speak with a fine-tuned voice.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("say", help="speak one line into a sound file")
    one.add_argument("text")
    one.add_argument("--out", type=Path, default=Path("said.wav"), help="a .wav or .flac file (said.wav)")
    one.add_argument("--model", type=Path, default=Path("models/phase2"), help="a model folder (models/phase2)")
    one.add_argument("--speaker", help="one of the folder's speakers; not needed if it has one")
    one.add_argument("--reference", type=Path, help="a recording whose voice is taken instead")
    one.add_argument("--language", choices=sorted(params.CHARACTER_LIMITS), default="en")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--temperature", type=float, default=0.3, help="0 is greedy")
    one.add_argument("--repetition-penalty", type=float, default=1.0)
    one.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    one.set_defaults(run=say)
    three = commands.add_parser("export", help="copy a model folder with licence and consent, to give it away")
    three.add_argument("out", type=Path, help="a folder to be made")
    three.add_argument("--model", type=Path, default=Path("models/phase2"), help="a model folder (models/phase2)")
    three.add_argument("--consent", help="who agreed, when, and to what: one line for the model's README")
    three.set_defaults(run=export)
    four = commands.add_parser("states", help="list or remove the states of unfinished trainings")
    four.add_argument("--remove", nargs="+", default=[], metavar="NAME", help="remove these, or `all`")
    four.set_defaults(run=states)
    two = commands.add_parser("check", help="check params.yaml")
    two.add_argument("params", type=Path, nargs="?", default=Path("params.yaml"))
    two.set_defaults(run=check)
    return top


def main() -> None:
    arguments = parser().parse_args()
    stage.run(lambda: arguments.run(arguments))


if __name__ == "__main__":
    main()
