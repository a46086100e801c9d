"""The model folder that everybody uses: one of the trained models, with its speakers and how it is to speak."""

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from voicetune.data.clip import Clip
from voicetune.data.split import TRAIN
from voicetune.errors import UserError
from voicetune.measures import results
from voicetune.params.decoding import Decoding
from voicetune.xtts import copies

_OURS, _SPEAKERS, _REFERENCES = "voicetune.json", "speakers_xtts.pth", "references.json"
"""See xtts.folder and speech.references, which take seconds to import."""


def publish(name: str, model: Path, out: Path, spoken: Path, clips: Sequence[Clip], decoding: Decoding) -> None:
    """Copy a model to `out`, in one rename, with the speakers that it was measured with, and write down its name,
    language, decoding, and what each speaker was heard in.

    Whatever voices the model had of its own, such as the studio voices of XTTS v2, are not published.

    Args:
        name: `base`, `phase1` or `phase2`.
        spoken: the folder where stage speak left what the model said, and its speakers.
        clips: of the encoded dataset.

    Raises:
        UserError: `spoken` has no speakers.
    """
    for needed in (_SPEAKERS, _REFERENCES):
        if not (spoken / needed).is_file():
            raise UserError(f"{spoken / needed} is missing; run `dvc repro -f speak@{name}`.")
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
            "references": results.read(spoken / _REFERENCES, results.AnyFigures),
        }
        with copies.written(part / _OURS):
            (part / _OURS).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _copy(model: Path, source: str, out: str) -> None:
    copies.copy(Path(source), Path(out), model)
