"""Stage synthesize: the lines of params.yaml, spoken by the published model, into data/samples."""

import shutil
from pathlib import Path
from typing import Any

from voicetune import params, stage

OUT = Path("data/samples")


def main() -> None:
    settings = params.load()
    import soundfile  # sound and torch: only once the parameters are good

    from voicetune.data.codes import Codes
    from voicetune.speech.voice import Line, Voice, heard
    from voicetune.xtts import folder

    model = Path("models") / settings.publish
    voice = Voice(model, stage.device(settings.device))
    codes = Codes(Path("data/codes"))
    # a base of its own has no speaker; it speaks as it hears the training's
    speakers = folder.speakers(model) or heard(voice.xtts, codes, Path("data/clips"), codes.speakers)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    weights = folder.sha256(folder.weights_file(model))
    manifest: list[dict[str, Any]] = []
    for name, speaker in sorted(speakers.items()):
        lines = [Line(text, settings.synthesize.language) for text in settings.synthesize.lines]
        sounds = voice.speak(lines, [speaker] * len(lines), settings.synthesize.decoding, settings.seed)
        for number, (line, sound) in enumerate(zip(lines, sounds, strict=True), start=1):
            file = f"{name}-{number:02d}.wav"
            soundfile.write(OUT / file, sound, voice.rate, subtype="PCM_16")
            manifest.append(
                {
                    "file": file,
                    "text": line.text,
                    "language": line.language,
                    "speaker": name,
                    "seconds": round(len(sound) / voice.rate, 3),
                    "seed": settings.seed,
                    "model": settings.publish,
                    "model_sha256": weights,
                }
            )
    stage.write_json(OUT / "manifest.json", manifest)
    print(f"{len(manifest)} lines in {OUT}, {sum(row['seconds'] for row in manifest):.1f} s")


if __name__ == "__main__":
    stage.run(main)
