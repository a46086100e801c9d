"""Stage quality: checks every clip, and leaves out those that would harm the training.

The limits are in params.yaml. data/quality/clips.csv lists the clips that are used, checks.csv has all clips with their
figures and reasons, and the page data/quality.html plays them.
"""

from functools import partial
from pathlib import Path

from voicetune import entry, files, outputs, terminal
from voicetune.data import as_recorded, clip, decisions, left_out
from voicetune.data.left_out import LeftOut
from voicetune.data.split import check_sides
from voicetune.params import reading
from voicetune.params.quality import QualityStage

CLIPS, OUT = Path("data/clips"), Path("data/quality")
LEFT_OUT = CLIPS / "left_out.csv"
TABLE = OUT / "checks.csv"
PAGE = Path("data/quality.html")
FIGURES = Path("metrics/quality.json")
REMEDY = f"loosen the limits of `quality` in params.yaml, or accept clips on {PAGE}"


def main() -> None:
    settings = reading.load(QualityStage)
    from voicetune.data.dataset import Dataset
    from voicetune.quality import judging, measuring, page, summary, table
    from voicetune.quality.catalogue import CHECKS
    from voicetune.quality.judged import in_words

    clips = clip.read(CLIPS / "clips.csv")
    check_sides([one.split for one in clips], str(LEFT_OUT))
    clip.check_files(CLIPS, clips)
    recorded = as_recorded.read(clips)
    outputs.make_empty(OUT)
    for path in (PAGE, FIGURES):  # fails before the work, not after it
        files.check_no_folder(path)

    each = measuring.measure_sounds(clips, Dataset(Path("data")), settings.quality.asr, settings.device)
    sounds = list(terminal.track(each, "checking clips", len(clips)))
    decided = decisions.read_project()
    judge = partial(judging.judge, clips, quality=settings.quality, accepted=decisions.accepted(decided))
    measured = measuring.figures(clips, recorded, sounds)
    fit = {one.clip.id for one in judge(measured) if one.kept}
    judged = judge(measuring.add_twins(clips, measured, sounds, fit))
    sentences = summary.sentences(judged)
    table.write(TABLE, judged)
    page.write(PAGE, judged, CHECKS, sentences, left_out.read(LEFT_OUT), decided)
    unused = [LeftOut(one.clip.id, one.clip.source, in_words(one.reasons)) for one in judged if not one.kept]
    kept = [one.clip for one in judged if one.kept]
    left_out.check_not_all(unused, len(kept), TABLE, REMEDY)
    check_sides([one.split for one in kept], str(TABLE), REMEDY)
    clip.write(OUT / "clips.csv", kept)
    outputs.write_json(FIGURES, summary.figures(judged))
    print(*sentences, sep="\n")


if __name__ == "__main__":
    entry.run(main)
