"""Stage synthesize: the published model speaks the lines of params.yaml into data/samples."""

from pathlib import Path

from voicetune import entry, outputs, run_notes
from voicetune.device import choose_device
from voicetune.errors import UserError
from voicetune.params import reading
from voicetune.params.speaking import SynthesizeStage

OUT = Path("data/samples")


def main() -> None:
    settings = reading.load(SynthesizeStage)
    wanted = settings.synthesize
    # torch and the sound libraries load slowly: parameters are checked first
    from voicetune.speech import script, watermark
    from voicetune.speech.checking import Checks
    from voicetune.speech.timing import speed  # no dep: it only measures time, for metrics/run
    from voicetune.speech.voice import Line, Voice

    if wanted.watermark:
        watermark.open_networks()
    voice = Voice(Path("models/voice"), choose_device(settings.device))
    speakers = voice.speakers()
    takes = [
        script.ScriptLine(
            number, f"{name}-{number:02d}.{wanted.format}", Line(text, wanted.language, wanted.speed), name
        )
        for name in sorted(speakers)
        for number, text in enumerate(wanted.lines, start=1)
    ]
    outputs.make_empty(OUT)
    checks = Checks(wanted.tries, settings.asr if wanted.check_words else None)
    manner = script.Manner(
        voice.decoding(), settings.seed, wanted.loudness, checks, code="", watermark=wanted.watermark
    )
    made = script.make(voice, takes, lambda name: speakers[str(name)], OUT, manner)
    for number, reason in made.faults.items():
        raise UserError(f"synthesize.lines, line {number}: {reason}")
    lines = [(take.line, speakers[str(take.speaker)]) for take in takes]
    run_notes.add("synthesize", speed(voice, lines, manner.decoding, settings.seed))
    print(f"{len(made.rows)} lines in {OUT}, {sum(row['seconds'] for row in made.rows):.1f} s; {made.checked()}")


if __name__ == "__main__":
    entry.run(main)
