"""Measures takes: transcribes them if a measure needs the text, and then takes each measure. One row per take."""

import math
import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from voicetune import terminal
from voicetune.errors import UserError
from voicetune.measures import catalogue
from voicetune.measures.material import Material
from voicetune.measures.measure import Row
from voicetune.measures.table import COLUMNS
from voicetune.measures.takes import Take
from voicetune.recognition.recogniser import Recogniser


class Measurer:
    """Measures takes of the sentences of `material`.

    Args:
        asr, device: see `recogniser.Recogniser`; only the recogniser uses `device`. asr may be None if no measure
            needs the recogniser.
        measures: names of the measures to take, see `catalogue.MEASURES`.
    """

    def __init__(self, material: Material, asr: str | None, device: str, measures: Collection[str]):
        self.recognisers: dict[str, Recogniser] = {}
        if catalogue.reads(measures):
            assert asr is not None
            languages = sorted({clip.language for clip in material.clips})
            self.recognisers = {language: Recogniser(asr, language, device) for language in languages}
        self.opened = {name: one.open(material) for name, one in catalogue.MEASURES.items() if name in measures}

    def measure_all(self, takes: Sequence[Take], rate: int) -> list[Row]:
        """Measure takes in parallel, one thread per take, see `measure`. The number of threads changes no figure."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            rows = pool.map(lambda take: self.measure(take, rate), takes)
            return list(terminal.track(rows, "measuring", len(takes)))

    def measure(self, take: Take, rate: int) -> Row:
        """Measure one take: a row with `table.COLUMNS`, None where nothing was measured."""
        clip = take.clip
        row: Row = dict.fromkeys(COLUMNS)
        row |= {"id": clip.id, "take": take.number, "speaker": clip.speaker, "language": clip.language}
        row |= {"text": clip.text, "file": take.file, "seconds": round(len(take.sound) / rate, 3)}
        if self.recognisers:
            row["heard"] = self.recognisers[clip.language].transcribe(take.sound, rate)
        for name, measure_take in self.opened.items():
            if take.number == 0 or not catalogue.MEASURES[name].first_take_only:
                found = measure_take(take, rate, row["heard"] or "")
                _check(name, found)
                row |= found
        return row


def _check(name: str, found: Row) -> None:
    """Check what a measure returned for a take.

    Raises:
        UserError: it has a column that none of the measure's figures names, or a number that is not finite.
    """
    correct = f"correct src/voicetune/measures/catalogue/{name}.py."
    if extra := found.keys() - set(catalogue.MEASURES[name].columns):
        raise UserError(
            f"the measure {name} returns {', '.join(sorted(extra))}, which none of its figures names; {correct}"
        )
    for column, value in found.items():
        if value is not None and not math.isfinite(value):
            raise UserError(
                f"the measure {name} returns {value} as {column}, but should return None where there is nothing to"
                f" measure; {correct}"
            )
