"""What goes with a model that is given away: its measured figures, and a recording of its speaker."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voicetune import families, files
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.kept import voices
from voicetune.measures import catalogue, clip_table
from voicetune.measures.results import Figures, format_figure
from voicetune.shapes import read_json

MEASURED = Path("metrics/compare/figures.json")
_AGAIN = "run `dvc repro -s -f compare`"
_SECONDS = 6.0  # a reference of this length is enough for XTTS
_SHOWN = [*(one for one in clip_table.FIGURES if one.metric), *catalogue.HEADLINES]


def measured(model: Path) -> dict[str, str]:
    """The figures that were measured of a model's weights, with 95 % intervals; empty if there are none."""
    own = row_of(model)
    found = {one.label: format_figure(own, one.name) for one in _SHOWN if one.name in own}
    if not found:
        return {}
    on = f"{own.get('clips', 0)} test clips; {own.get('takes', 0)} takes of {own.get('sentences', 0)} sentences"
    return {**found, "measured on": on}


def row_of(model: Path) -> Mapping[str, Any]:
    """The row of a model's weights in a kept voice's own figures, or else in metrics/compare; empty if there is none.

    Raises:
        UserError: the figures are damaged, or the folder has no weights.
    """
    kept = files.is_file(model / voices.FIGURES)
    path, again = (model / voices.FIGURES, voices.restoring(model)) if kept else (MEASURED, _AGAIN)
    if not files.is_file(path):
        return {}
    weights = files.sha256(families.layout(model).weights_file(model))
    return next((row for row in read_json(path, Figures, again).values() if row.get("model_sha256") == weights), {})


def reference(model: Path) -> tuple[np.ndarray, int]:
    """The recordings that the first speaker's voice was taken from, joined until they have six seconds.

    Returns:
        (samples,) float32, and their rate in Hz.

    Raises:
        UserError: voicetune.json names none, or the clips are not here, or data/ has those of another voice.
    """
    facts = families.folder(model).read_facts(model)
    ids = _references(facts.get("references"))
    if not ids:
        raise UserError(f"{model} names no recordings of its speaker; give one as --reference.")
    data = Dataset(Path("data"))
    clips, taken = {clip.id: clip for clip in data.codes.clips}, []
    if facts.get("facts", {}).get("data_sha256", data.codes_sha256()) != data.codes_sha256():
        raise UserError(
            f"data/ has other clips now than those that {model} learned from; give a recording of its speaker as"
            " --reference."
        )
    for id in ids:
        if id not in clips:
            raise UserError(f"this project has no clip '{id}', which {model} took its voice from; give --reference.")
        samples, rate = data.sound(clips[id])
        taken.append(samples)
        if sum(map(len, taken)) >= _SECONDS * rate:
            break
    return np.concatenate(taken), rate


def _references(known: Any) -> list[str]:
    """The clips of the first speaker; none if voicetune.json, which somebody else may have written, names none."""
    first = known[min(known)] if isinstance(known, dict) and known else None
    clips = first.get("clips") if isinstance(first, dict) else None
    return [str(one) for one in clips] if isinstance(clips, list) else []
