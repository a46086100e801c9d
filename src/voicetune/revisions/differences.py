"""What differs between revisions: paired differences of their figures, parameters, data, code and machines."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from voicetune import machine
from voicetune.data.clip import Clip
from voicetune.measures import catalogue, pairs, table
from voicetune.measures.measure import Row
from voicetune.measures.pairs import Figures
from voicetune.params.models import MODELS
from voicetune.revisions.results import RESAMPLING, Measured

_MEASURED_OTHERWISE = 0.02  # relative; a larger change of the recordings' own figure is no rounding


@dataclass(frozen=True)
class Paired:
    """The differences b - a between two models, as in metrics/compare/changes.json. same: they are one model."""

    a: str
    b: str
    changes: Figures
    same: bool


@dataclass(frozen=True)
class Comparison:
    """A revision compared with the first one. voice: of the published models. phases: of the other models, by name.
    sentences: how many the speech is compared on. notes: why something is not compared, or only with care."""

    first: Measured
    other: Measured
    voice: Paired
    phases: list[Paired]
    sentences: int
    notes: list[str]


def compare(first: Measured, other: Measured) -> Comparison:
    """Compare the models of a revision with those of the first one, on the same clips and sentences."""
    fault = why_other_clips(first, other)
    spoken = _same_sentences(first, other)
    models = [model for model in MODELS if (model, model) != (first.published, other.published)]
    voice, *phases = (
        _pair(first, other, a, b, not fault, spoken)
        for a, b in [(first.published, other.published), *((model, model) for model in models)]
    )
    names = f"{first.revision.name} and {other.revision.name}"
    notes = [*_why_unpaired(fault, bool(spoken)), *_measured_otherwise(first, other, spoken)]
    notes = [f"{names}: {note}" for note in notes]
    return Comparison(first, other, voice, [one for one in phases if one.changes], len(spoken), notes)


def _why_unpaired(fault: str, any_spoken: bool) -> list[str]:
    """The sentence about what cannot be paired, if there is any."""
    reasons = [fault] if fault else []
    if not any_spoken:
        reasons.append("no sentence was spoken in both from the same recording")
    if not reasons:
        return []
    what = "nothing" if len(reasons) == 2 else "no cross entropy" if fault else "nothing that is heard"
    return [f"{', and '.join(reasons)}, so {what} can be paired: compare the figures with care."]


def why_other_clips(first: Measured, other: Measured) -> str:
    """Why the cross entropies of two revisions are not over the same test clips and codes; empty if they are.

    The hash of the encoded dataset settles it. If that differs, the test clips are compared one by one, with the base
    that encoded them.
    """
    mine, its = first.clips.get("base"), other.clips.get("base")
    if mine is None or its is None:
        return "the table of the test clips is missing in one of them"
    if fault := pairs.task_difference(mine, its):
        return f"they were measured on {fault}"
    hashes = [one.facts["base"].get("data_sha256") for one in (first, other)]
    if hashes[0] and hashes[0] == hashes[1]:
        return ""
    if first.snapshot.out("models/base") != other.snapshot.out("models/base"):
        return "they have other bases, and so perhaps other codes"
    tested, its_tested = (_test_clips(one) for one in (first, other))
    if not tested or not its_tested:
        return "their data differ, and the lists of their clips are not all here"
    return "" if tested == its_tested else "they were measured on other clips"


def _test_clips(one: Measured) -> set[tuple[str, str, str]]:
    """Id, text and hash of the sound of each test clip; empty if they are not known."""
    return {(clip.id, clip.text, one.snapshot.sounds[clip.file]) for clip in one.manifest
            if clip.split == "test" and clip.file in one.snapshot.sounds}  # fmt: skip


def _same_sentences(first: Measured, other: Measured) -> set[str]:
    """The ids of the sentences that both spoke. The recordings have the same texts and lengths in both."""
    known = [{row["id"]: (row["text"], row["seconds"]) for row in one.takes["recordings"]} for one in (first, other)]
    return {id for id, told in known[0].items() if known[1].get(id) == told}


def _pair(first: Measured, other: Measured, a: str, b: str, same_clips: bool, spoken: set[str]) -> Paired:
    changes: Figures = {}
    if same_clips and a in first.clips and b in other.clips:
        changes |= pairs.compare_clips(first.clips[a], other.clips[b], *RESAMPLING)
    before, after = (_of(one.takes[model], spoken) for one, model in ((first, a), (other, b)))
    if before and after:
        changes |= pairs.compare_takes(before, after, *RESAMPLING)
    weights = [one.facts[model].get("model_sha256") for one, model in ((first, a), (other, b))]
    return Paired(a, b, changes, bool(weights[0]) and weights[0] == weights[1])


def _of(takes: Sequence[Row], ids: set[str]) -> list[Row]:
    return [take for take in takes if take["id"] in ids]


def _measured_otherwise(first: Measured, other: Measured, spoken: set[str]) -> list[str]:
    """Warn of figures that differ for the recordings themselves: then something else than the model differs, too."""
    before, after = (table.figures(_of(one.takes["recordings"], spoken)) for one in (first, other))
    found = [
        f"{figure.label} {before[figure.name]:.{figure.digits}f} and {after[figure.name]:.{figure.digits}f}"
        for figure in catalogue.HEADLINES
        if figure.name in before and figure.name in after
        and abs(after[figure.name] - before[figure.name]) > _MEASURED_OTHERWISE * abs(before[figure.name])
    ]  # fmt: skip
    if not found:
        return []
    return [f"the recordings themselves measure differently ({'; '.join(found)}), so a part of the difference between "
            "the models comes from the recogniser, the packages or the machine."]  # fmt: skip


def other_validation_clips(measured: Sequence[Measured]) -> str:
    """A sentence if the curves are not over the same validation clips, as far as is known; else empty."""
    drawn = [one for one in measured if one.phases and one.manifest]
    sides = {one.revision.name: (one.snapshot.out("models/base"),
                                 frozenset((clip.id, clip.text, one.snapshot.sounds.get(clip.file))
                                           for clip in one.manifest if clip.split == "validation"))
             for one in drawn}  # fmt: skip
    others = [name for name, side in sides.items() if side != next(iter(sides.values()))]
    if not others:
        return ""
    return (
        f"The validation clips or the bases of {', '.join(others)} are not those of {next(iter(sides))}, so the levels "
        "of their curves cannot be compared."
    )


def parameters(measured: Sequence[Measured]) -> list[tuple[str, list[str]]]:
    """Each parameter that differs, with its value in each revision as params.yaml has it; empty where it is unknown."""
    found = [one.snapshot.parameters() for one in measured]
    names = sorted({name for one in found for name in one})
    rows = [(name, [_written(one[name]) if name in one else "" for one in found]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_written(one) for one in value)
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def data(measured: Sequence[Measured]) -> list[tuple[str, list[str]]]:
    """The rows of the table of data: hashes of what stage prepare read, and the clips of each source."""
    folders = dict.fromkeys(path for one in measured for path in one.snapshot.deps("data/")
                            if path.startswith(("data/raw", "data/scripts", "data/decisions")))  # fmt: skip
    rows = [(path, [_short(one.snapshot.deps("data/").get(path)) for one in measured]) for path in folders]
    sources = dict.fromkeys(name for one in measured for name in _sources(one))
    rows += [(f"source {name}", [_sources(one).get(name, "") for one in measured]) for name in sources]
    rows += [(f"{side} clips", [_side(one, side) for one in measured]) for side in ("train", "validation", "test")]
    return [(name, cells) for name, cells in rows if any(cells)]


def _sources(one: Measured) -> dict[str, str]:
    """Clips, seconds and a hash of the texts and sounds of each source."""
    names = sorted({clip.source for clip in one.manifest})
    return {name: _amount(one, [clip for clip in one.manifest if clip.source == name]) for name in names}


def _side(one: Measured, side: str) -> str:
    if one.manifest:
        return _amount(one, [clip for clip in one.manifest if clip.split == side])
    amount = one.amounts.get(side)
    return f"{amount['clips']} clips" if isinstance(amount, dict) and "clips" in amount else ""


def _amount(one: Measured, clips: Sequence[Clip]) -> str:
    told = sorted(f"{clip.id}\0{clip.text}\0{one.snapshot.sounds.get(clip.file, '')}" for clip in clips)
    hash = hashlib.sha256("\n".join(told).encode()).hexdigest()
    return f"{len(clips)} clips, {sum(clip.seconds for clip in clips):.1f} s, {_short(hash)}"


def _short(hash: str | None) -> str:
    return (hash or "")[:8]


@dataclass(frozen=True)
class Code:
    """The files that differ from the first revision's, each with the stages that run it. machine: its differences."""

    changed: dict[str, list[str]]
    added: dict[str, list[str]]
    removed: dict[str, list[str]]
    machine: list[str]


def code(first: Measured, other: Measured) -> Code:
    """Compare the files that the stages ran, by the hashes in dvc.lock, and the machines that they ran on."""
    before, after = (one.snapshot.deps("src/") for one in (first, other))
    changed = [path for path in before.keys() & after.keys() if before[path] != after[path]]
    return Code(
        changed=_with_stages(other, changed),
        added=_with_stages(other, after.keys() - before.keys()),
        removed=_with_stages(first, before.keys() - after.keys()),
        machine=_machines(first, other),
    )


def _with_stages(one: Measured, paths: Iterable[str]) -> dict[str, list[str]]:
    run = {name: {str(dep["path"]) for dep in stage.get("deps") or []} for name, stage in one.snapshot.stages.items()}
    return {path: [name for name, deps in run.items() if path in deps] for path in sorted(paths)}


def _machines(first: Measured, other: Measured) -> list[str]:
    """How the machines that trained phase 2 differ."""
    found = []
    for one in (first, other):
        made = machine.read(one.snapshot.folder / "machine.json")
        found += [{"packages": {}, **facts} for facts, stages in made if "train_phase2" in stages][:1]
    return [told.replace(", here ", " → ") for told in machine.differences(*found)] if len(found) == 2 else []
