"""Stage prepare: turns the sources of params.yaml into clean clips with a manifest in data/clips, split in three.

A person's decisions (data/decisions.csv) are applied first. Every clip is then decoded (or spoken by espeak-ng),
resampled to 22,050 Hz mono, trimmed and levelled. A clip that was rejected or fails is left out, and
data/clips/left_out.csv lists it with the reason.
"""

from pathlib import Path

from voicetune import entry, files, outputs, terminal
from voicetune.data import amounts, as_recorded, clip, consent, decisions, few, left_out, making, readers
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
    decided = decisions.read_project()
    utterances = decisions.apply(decided, readers.read(prepare.sources))
    outputs.make_empty(CLIPS)
    with files.writing(FIGURES.parent):  # fails before the work, not after it
        FIGURES.parent.mkdir(parents=True, exist_ok=True)

    making_all = making.make_all(utterances, CLIPS, prepare, reading.load(Unlisted))
    results = list(terminal.track(making_all, "preparing clips", len(utterances)))
    unused = [result for result in results if isinstance(result, LeftOut)]
    made = [(u, result) for u, result in zip(utterances, results, strict=True) if not isinstance(result, LeftOut)]
    left_out.write(LEFT_OUT, unused)
    remedy = left_out.remedy(unused)
    left_out.check_not_all(unused, len(made), LEFT_OUT, remedy)

    sides = split([(u.source, u.text) for u, _ in made], prepare.validation, prepare.test, seed)
    check_sides(sides, str(LEFT_OUT), remedy)
    clips = [making.clip_of(u, one.seconds, side) for (u, one), side in zip(made, sides, strict=True)]
    clip.write(CLIPS / "clips.csv", clips)
    as_recorded.write([one.recorded for _, one in made])
    figures = amounts.figures(clips, unused, [source.name for source in prepare.sources])
    outputs.write_json(FIGURES, figures)
    terminal.console.print(amounts.table(figures))
    warnings = [
        *decisions.warnings(decided, utterances),
        *few.warnings(clips, prepare.validation, prepare.test, seed),
        *consent.warnings(prepare.sources),
    ]
    print(*amounts.summary(figures, LEFT_OUT), *warnings, sep="\n")


if __name__ == "__main__":
    entry.run(main)
