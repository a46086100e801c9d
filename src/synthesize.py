"""Stage synthesize: the lines of params.yaml, spoken by the published model, into data/samples."""

import shutil
from pathlib import Path

from voicetune import params, stage
from voicetune.errors import UserError

OUT = Path("data/samples")


def main() -> None:
    settings = params.load()
    wanted = settings.synthesize
    from voicetune.data.codes import Codes  # sound and torch: only once the parameters are good
    from voicetune.speech import script
    from voicetune.speech.voice import Line, Voice, heard
    from voicetune.xtts import folder

    model = Path("models") / settings.publish
    voice = Voice(model, stage.device(settings.device))
    codes = Codes(Path("data/codes"))
    # a base of its own has no speaker; it speaks as it hears the training's
    speakers = folder.speakers(model) or heard(voice.xtts, codes, Path("data/clips"), codes.speakers)
    takes = [
        script.Take(number, f"{name}-{number:02d}.{wanted.format}", Line(text, wanted.language, wanted.speed), name)
        for name in sorted(speakers)
        for number, text in enumerate(wanted.lines, start=1)
    ]
    shutil.rmtree(OUT, ignore_errors=True)
    manner = script.Manner(wanted.decoding, settings.seed, wanted.loudness)
    made = script.make(voice, takes, lambda name: speakers[str(name)], OUT, manner)
    for number, reason in made.faults.items():
        raise UserError(f"synthesize.lines, line {number}: {reason}")
    print(f"{len(made.rows)} lines in {OUT}, {sum(row['seconds'] for row in made.rows):.1f} s")


if __name__ == "__main__":
    stage.run(main)
