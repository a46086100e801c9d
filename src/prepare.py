"""Stage prepare: turns the sources of params.yaml into clean clips with a manifest in data/clips, split in three.

Every clip is decoded (or spoken by espeak-ng), resampled to 22,050 Hz mono, trimmed and levelled. A clip that fails is
left out, and data/clips/left_out.csv lists it with the reason.
"""

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table

from voicetune import entry, files, outputs, terminal
from voicetune.data import clip, making, readers
from voicetune.data.clip import Clip
from voicetune.data.making import LeftOut
from voicetune.data.readers import Utterance
from voicetune.data.split import FEW, SIDES, TEST, VALIDATION, check_sides, split
from voicetune.errors import UserError, shown
from voicetune.params import reading
from voicetune.params.data import LARGEST, PrepareStage
from voicetune.params.unlisted import Unlisted

CLIPS = Path("data/clips")
FIGURES = Path("metrics/prepare.json")
USES = {TEST: "hardly any difference can be shown", VALIDATION: "the best model is chosen by chance"}


def main() -> None:
    settings = reading.load(PrepareStage)
    prepare = settings.prepare
    utterances = readers.read(prepare.sources)
    outputs.make_empty(CLIPS)
    with files.writing(FIGURES.parent):  # fails before the work, not after it
        FIGURES.parent.mkdir(parents=True, exist_ok=True)

    making_all = making.make_all(utterances, CLIPS, prepare, reading.load(Unlisted).jobs)
    results = list(terminal.track(making_all, "preparing clips", len(utterances)))
    left_out = [result for result in results if isinstance(result, LeftOut)]
    kept = [(u, result) for u, result in zip(utterances, results, strict=True) if not isinstance(result, LeftOut)]
    _write_left_out(left_out)
    _check_left(left_out, len(kept))

    sides = split([(u.source, u.text) for u, _ in kept], prepare.validation, prepare.test, settings.seed)
    check_sides(sides, str(CLIPS / "left_out.csv"))
    clips = [_clip(u, seconds, side) for (u, seconds), side in zip(kept, sides, strict=True)]
    clip.write(CLIPS / "clips.csv", clips)
    figures = _figures(clips, left_out, [source.name for source in prepare.sources])
    outputs.write_json(FIGURES, figures)
    _show(figures)
    _warn(clips, {VALIDATION: prepare.validation, TEST: prepare.test}, settings.seed)


def _clip(utterance: Utterance, seconds: float, side: str) -> Clip:
    u = utterance
    return Clip(u.id, making.file_name(u), u.text, u.language, u.speaker, u.source, seconds, side)


def _write_left_out(left_out: list[LeftOut]) -> None:
    path = CLIPS / "left_out.csv"
    with files.writing(path), path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "source", "reason"])
        writer.writerows([entry.id, entry.source, shown(entry.reason)] for entry in left_out)


def _check_left(left_out: list[LeftOut], kept: int) -> None:
    if kept == 0:
        first = left_out[0]
        raise UserError(
            f"all {len(left_out)} clips are left out, '{first.id}' because of {first.reason.removesuffix('.')}; "
            f"see {CLIPS / 'left_out.csv'} and correct the sources."
        )


def _figures(clips: list[Clip], left_out: list[LeftOut], sources: list[str]) -> dict[str, Any]:
    """Contents of metrics/prepare.json: clips and minutes in all, per source and side; clips left out, by reason."""
    per_source = {}
    for name in sources:
        own = [entry for entry in clips if entry.source == name]
        per_source[name] = {**_amount(own), **_by_side(own)}
    reasons = Counter(entry.reason.split(": ")[0] for entry in left_out)
    return {**_amount(clips), **_by_side(clips), "sources": per_source, "left_out": dict(sorted(reasons.items()))}


def _by_side(clips: list[Clip]) -> dict[str, dict[str, float]]:
    return {side: _amount(entry for entry in clips if entry.split == side) for side in SIDES}


def _amount(clips: Iterable[Clip]) -> dict[str, float]:
    seconds = [entry.seconds for entry in clips]
    return {"clips": len(seconds), "minutes": round(sum(seconds) / 60, 2)}


def _show(figures: dict[str, Any]) -> None:
    table = Table("source", "clips", "minutes", *SIDES)
    for name, amount in figures["sources"].items():
        counts = [amount["clips"], amount["minutes"], *(amount[side]["clips"] for side in SIDES)]
        table.add_row(name, *map(str, counts))
    terminal.console.print(table)
    print(f"{figures['clips']} clips, {figures['minutes']} minutes")
    for reason, count in figures["left_out"].items():
        print(f"left out: {count} ({reason}), see {CLIPS / 'left_out.csv'}")


def _warn(clips: list[Clip], shares: dict[str, float], seed: int) -> None:
    """Warn about each side that is too small for its use, and name a share that is large enough, if there is one."""
    texts = [(entry.source, entry.text) for entry in clips]
    for side, use in USES.items():
        count = sum(entry.split == side for entry in clips)
        if count >= FEW:
            continue
        remedy = "record more"
        if (share := _enough(texts, side, shares, seed)) is not None:
            remedy += f", or set prepare.{side} to {share:g} in params.yaml"
            shares = {**shares, side: share}
        print(f"warning: {side} has {count} clip(s), and with fewer than {FEW} {use}; {remedy}")


def _enough(texts: list[tuple[str, str]], side: str, shares: dict[str, float], seed: int) -> float | None:
    """The smallest share, in steps of 0.01, that gives a side FEW clips; None if no allowed share does."""
    for share in (hundredths / 100 for hundredths in range(1, 50)):
        wanted = {**shares, side: share}
        if wanted[VALIDATION] + wanted[TEST] > LARGEST:
            break
        if split(texts, wanted[VALIDATION], wanted[TEST], seed).count(side) >= FEW:
            return share
    return None


if __name__ == "__main__":
    entry.run(main)
