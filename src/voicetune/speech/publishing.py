"""Publish a model folder for use: the base or a trained model, with its speakers and decoding settings."""

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from voicetune.data.clip import Clip
from voicetune.data.split import TRAIN
from voicetune.errors import UserError
from voicetune.params.decoding import Decoding
from voicetune.shapes import read_json
from voicetune.xtts import copies

_OURS, _SPEAKERS, _REFERENCES = "voicetune.json", "speakers_xtts.pth", "references.json"
"""The names that xtts.folder and speech.references define. Importing those modules would take seconds."""


def publish(name: str, model: Path, out: Path, spoken: Path, clips: Sequence[Clip], decoding: Decoding) -> None:
    """Copy a model to `out`, with the speakers that it was measured with.

    voicetune.json gets the model's name, language and decoding, and the reference clips of each speaker. The folder is
    written beside `out` and then renamed. The model's own voices, such as the studio voices of XTTS v2, are not
    published.

    Args:
        name: `base`, `phase1` or `phase2`.
        spoken: the folder into which stage speak wrote the model's takes and its speakers.
        clips: the clips of the encoded dataset. The language is the most frequent one of the training clips.

    Raises:
        UserError: `spoken` has no speakers.
    """
    again = f"run `dvc repro -s -f speak@{name}`"
    for needed in (_SPEAKERS, _REFERENCES):
        if not (spoken / needed).is_file():
            raise UserError(f"{spoken / needed} is missing; {again}.")
    with copies.whole(out, out.with_name(out.name + ".part")) as part:
        copy = partial(_copy, model)
        shutil.copytree(model, part, copy_function=copy, dirs_exist_ok=True)
        copies.copy(spoken / _SPEAKERS, part / _SPEAKERS, spoken)
        known = json.loads((part / _OURS).read_text(encoding="utf-8")) if (part / _OURS).is_file() else {}
        languages = [clip.language for clip in clips if clip.split == TRAIN]
        facts = {
            **known,
            "published": name,
            "language": max(sorted(set(languages)), key=languages.count),
            "decoding": decoding.model_dump(mode="json"),
            "references": read_json(spoken / _REFERENCES, dict[str, Any], again),
        }
        with copies.written(part / _OURS):
            (part / _OURS).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _copy(model: Path, source: str, out: str) -> None:
    copies.copy(Path(source), Path(out), model)
