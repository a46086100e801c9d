"""Publish a model folder for use: the base or a trained model, with its speakers and decoding settings."""

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from voicetune import copies, families
from voicetune.data import consent
from voicetune.data.clip import Clip
from voicetune.data.split import TRAIN
from voicetune.errors import UserError
from voicetune.params.decoding import Decoding
from voicetune.shapes import read_json
from voicetune.speech import pace

_REFERENCES = "references.json"
"""The name that speech.references defines. Importing that module would take seconds."""


def publish(
    name: str,
    model: Path,
    out: Path,
    spoken: Path,
    clips: Sequence[Clip],
    decoding: Decoding,
    agreed: Sequence[consent.Entry],
) -> None:
    """Copy a model to `out`, with the speakers that it was measured with.

    voicetune.json gets the model's name, language, decoding and pace, the reference clips of each speaker, and who
    agreed to what. The folder is written beside `out` and then renamed. The model's own voices, such as the studio
    voices of XTTS v2, are not published.

    Args:
        name: `base`, `phase1` or `phase2`.
        spoken: the folder into which stage speak wrote the model's takes and its speakers.
        clips: the clips of the encoded dataset. The language is the most frequent one of the training clips.
        agreed: the consent of each source. What the base already has stands before it.

    Raises:
        UserError: `spoken` has no speakers.
    """
    speakers = families.layout(model).SPEAKERS
    again = f"run `dvc repro -s -f speak@{name}`"
    _check_spoken(spoken, speakers, again)
    with copies.whole(out, out.with_name(out.name + ".part")) as part:
        copy = partial(_copy, model)
        shutil.copytree(model, part, copy_function=copy, dirs_exist_ok=True)
        copies.copy(spoken / speakers, part / speakers, spoken)
        place = part / families.FACTS
        known = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
        inherited = [one for one in consent.read_entries(model, known) if one not in agreed]
        facts = {
            **known,
            "published": name,
            **_describe_language([clip for clip in clips if clip.split == TRAIN]),
            "decoding": decoding.model_dump(mode="json"),
            "references": read_json(spoken / _REFERENCES, dict[str, Any], again),
            consent.KEY: [one._asdict() for one in [*inherited, *agreed]],
        }
        with copies.written(place):
            place.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def _check_spoken(spoken: Path, speakers: str, again: str) -> None:
    for needed in (speakers, _REFERENCES):
        if not (spoken / needed).is_file():
            raise UserError(f"{spoken / needed} is missing; {again}.")


def _describe_language(training: Sequence[Clip]) -> dict[str, Any]:
    """The most frequent language of the training clips, and their pace in it."""
    languages = [clip.language for clip in training]
    language = max(sorted(set(languages)), key=languages.count)
    return {"language": language, pace.KEY: pace.fit(training, language).model_dump()}


def _copy(model: Path, source: str, out: str) -> None:
    copies.copy(Path(source), Path(out), model)
