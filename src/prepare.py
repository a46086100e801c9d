"""Stage prepare: the sources of params.yaml -> data/clips, clean clips with a manifest, split in two.

Every clip is decoded (or spoken by espeak-ng), brought to 22,050 Hz mono, trimmed and levelled. What fails
is left out and listed with its reason in data/clips/left_out.csv.
"""

import csv
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table

from voicetune import params, stage
from voicetune.data import clip, making, readers
from voicetune.data.clip import Clip
from voicetune.data.making import LeftOut
from voicetune.data.readers import Utterance
from voicetune.data.split import HELD_OUT, TRAIN, split
from voicetune.errors import UserError

CLIPS = Path("data/clips")
METRICS = Path("metrics/prepare.json")


def main() -> None:
    options = params.load()
    prepare = options.prepare
    utterances = readers.read(prepare.sources)
    if CLIPS.exists():
        shutil.rmtree(CLIPS)

    results = list(stage.track(making.make_all(utterances, CLIPS, prepare), "preparing clips", len(utterances)))
    left_out = [result for result in results if isinstance(result, LeftOut)]
    kept = [(u, result) for u, result in zip(utterances, results, strict=True) if not isinstance(result, LeftOut)]
    _write_left_out(left_out)
    _check_left(left_out, len(kept))

    sides = split([(u.source, u.text) for u, _ in kept], prepare.held_out, options.seed)
    _check_split(sides)
    clips = [_clip(u, seconds, side) for (u, seconds), side in zip(kept, sides, strict=True)]
    clip.write(CLIPS / "clips.csv", clips)
    figures = _figures(clips, left_out, [source.name for source in prepare.sources])
    stage.write_json(METRICS, figures)
    _show(figures)


def _clip(utterance: Utterance, seconds: float, side: str) -> Clip:
    u = utterance
    return Clip(u.id, making.file_name(u), u.text, u.language, u.speaker, u.source, seconds, side)


def _write_left_out(left_out: list[LeftOut]) -> None:
    CLIPS.mkdir(parents=True, exist_ok=True)
    with (CLIPS / "left_out.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "source", "reason"])
        writer.writerows([entry.id, entry.source, entry.reason] for entry in left_out)


def _check_left(left_out: list[LeftOut], kept: int) -> None:
    if kept == 0:
        first = left_out[0]
        raise UserError(
            f"all {len(left_out)} clips are left out, '{first.id}' because of {first.reason.removesuffix('.')}; "
            f"see {CLIPS / 'left_out.csv'} and correct the sources."
        )


def _check_split(sides: list[str]) -> None:
    if HELD_OUT not in sides:  # `split` always leaves one to train on
        raise UserError(
            f"no source has two different texts among the {len(sides)} clip(s) that remain, one to train on and one "
            f"to measure with; see {CLIPS / 'left_out.csv'} and add clips."
        )


def _figures(clips: list[Clip], left_out: list[LeftOut], sources: list[str]) -> dict[str, Any]:
    """What metrics/prepare.json holds: clips and minutes in all, per source and split; left out by reason."""
    per_source = {}
    for name in sources:
        own = [entry for entry in clips if entry.source == name]
        sides = {side: _amount(entry for entry in own if entry.split == side) for side in (TRAIN, HELD_OUT)}
        per_source[name] = {**_amount(own), **sides}
    reasons = Counter(entry.reason.split(": ")[0] for entry in left_out)
    return {**_amount(clips), "sources": per_source, "left_out": dict(sorted(reasons.items()))}


def _amount(clips: Iterable[Clip]) -> dict[str, float]:
    seconds = [entry.seconds for entry in clips]
    return {"clips": len(seconds), "minutes": round(sum(seconds) / 60, 2)}


def _show(figures: dict[str, Any]) -> None:
    table = Table("source", "clips", "minutes", "train", "held out")
    for name, amount in figures["sources"].items():
        counts = [amount["clips"], amount["minutes"], amount[TRAIN]["clips"], amount[HELD_OUT]["clips"]]
        table.add_row(name, *map(str, counts))
    stage.console.print(table)
    print(f"{figures['clips']} clips, {figures['minutes']} minutes")
    for reason, count in figures["left_out"].items():
        print(f"left out: {count} ({reason}), see {CLIPS / 'left_out.csv'}")


if __name__ == "__main__":
    stage.run(main)
