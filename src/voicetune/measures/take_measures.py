"""Measures the takes of one row (a model, recordings or codec) and writes them into its results folder."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from voicetune import families, files, outputs
from voicetune.data.dataset import Dataset
from voicetune.measures import catalogue, table
from voicetune.measures.catalogue.similarity import Similar
from voicetune.measures.material import Material
from voicetune.measures.measure import Row
from voicetune.measures.measurer import Measurer
from voicetune.measures.results import FACTS
from voicetune.measures.takes import Take
from voicetune.model import VoiceEncoder


def measurer_for(
    own: VoiceEncoder | None,
    data: Dataset,
    takes: Sequence[Take],
    asr: str,
    device: str,
    measures: Collection[str],
) -> Measurer | None:
    """The `Measurer` for these takes; None if there are no takes.

    Args:
        own: the model's own speaker encoder, if it has one.
        asr, device: see `recogniser.Recogniser`.
        measures: names of the measures to take, see `catalogue.MEASURES`.
    """
    said = list({take.clip.id: take.clip for take in takes}.values())
    return Measurer(Material(data, said, own), asr, device, measures) if said else None


def measure(measurer: Measurer | None, takes: Sequence[Take], rate: int) -> list[Row]:
    """Measure every take; `rate` is the sample rate of their sounds in Hz."""
    return [] if measurer is None else measurer.measure_all(takes, rate)


def floor(measurer: Measurer | None, takes: Sequence[Take]) -> dict[str, float]:
    """`secs_floor`, the SECS of a stranger who says the same sentences, see `Similar.floor`; empty if not measured."""
    similar = measurer.opened.get("similarity") if measurer else None
    found = similar.floor([take.clip for take in takes]) if isinstance(similar, Similar) else None
    return {} if found is None else {"secs_floor": found}


def hashes(model: Path, data: Dataset) -> dict[str, str]:
    """SHA-256 of the measured weights and of the dataset."""
    weights = families.layout(model).weights_file(model)
    return {"model_sha256": files.sha256(weights), "data_sha256": data.codes_sha256()}


def write(out: Path, rows: Sequence[Row], facts: dict[str, Any]) -> None:
    """Write a row's takes.csv and facts.json."""
    out.mkdir(parents=True, exist_ok=True)
    table.write(out / table.TABLE, rows)
    outputs.write_json(out / FACTS, facts)


def figures(out: Path) -> dict[str, float]:
    """The few figures of a row's takes that go into a model's metrics file."""
    found = table.figures(table.read(out / table.TABLE))
    return {name: found[name] for name in catalogue.METRICS if name in found}


def summary(out: Path) -> str:
    """CER, SECS and predicted MOS for a line on the terminal."""
    found = figures(out)
    shown = [f"{one.label} {found[one.name]:.3f}" for one in catalogue.HEADLINES if one.name in found]
    return ", ".join(shown) or "nothing was spoken"
