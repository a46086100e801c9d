"""Stage prepare: turns the sources of params.yaml into clean clips with a manifest in data/clips, split in three.

Every clip is decoded (or spoken by espeak-ng), resampled to 22,050 Hz mono, trimmed and levelled. A clip that fails is
left out, and data/clips/left_out.csv lists it with the reason.
"""

from pathlib import Path

from voicetune import entry, files, outputs, terminal
from voicetune.data import amounts, clip, few, left_out, making, readers
from voicetune.data.left_out import LeftOut
from voicetune.data.split import check_sides, split
from voicetune.params import reading
from voicetune.params.data import PrepareStage
from voicetune.params.unlisted import Unlisted

CLIPS = Path("data/clips")
LEFT_OUT = CLIPS / "left_out.csv"
FIGURES = Path("metrics/prepare.json")


def main() -> None:
    settings = reading.load(PrepareStage)
    prepare, seed = settings.prepare, settings.seed
    utterances = readers.read(prepare.sources)
    outputs.make_empty(CLIPS)
    with files.writing(FIGURES.parent):  # fails before the work, not after it
        FIGURES.parent.mkdir(parents=True, exist_ok=True)

    making_all = making.make_all(utterances, CLIPS, prepare, reading.load(Unlisted))
    results = list(terminal.track(making_all, "preparing clips", len(utterances)))
    unused = [result for result in results if isinstance(result, LeftOut)]
    made = [(u, result) for u, result in zip(utterances, results, strict=True) if not isinstance(result, LeftOut)]
    left_out.write(LEFT_OUT, unused)
    left_out.check_not_all(unused, len(made), LEFT_OUT)

    sides = split([(u.source, u.text) for u, _ in made], prepare.validation, prepare.test, seed)
    check_sides(sides, str(LEFT_OUT))
    clips = [making.clip_of(u, seconds, side) for (u, seconds), side in zip(made, sides, strict=True)]
    clip.write(CLIPS / "clips.csv", clips)
    figures = amounts.figures(clips, unused, [source.name for source in prepare.sources])
    outputs.write_json(FIGURES, figures)
    terminal.console.print(amounts.table(figures))
    warnings = few.warnings(clips, prepare.validation, prepare.test, seed)
    print(*amounts.summary(figures, LEFT_OUT), *warnings, sep="\n")


if __name__ == "__main__":
    entry.run(main)
