"""The model folder that everybody uses: one of the trained models, with its speakers and how it is to speak."""

import json
import os
import shutil
from pathlib import Path

from voicetune.data.codes import Codes
from voicetune.errors import UserError
from voicetune.params.decoding import Decoding
from voicetune.xtts import copies

_OURS = "voicetune.json"  # see xtts.folder, which takes seconds to import


def publish(name: str, model: Path, out: Path, codes: Codes, clips: Path, decoding: Decoding) -> None:
    """Copy a model to `out`, in one rename, and write down its name, language and decoding.

    A base knows no speaker of the dataset: it gets those that it hears in the training clips.

    Args:
        name: `base`, `phase1` or `phase2`.
        clips: the folder of the recordings.
    """
    beside = out.with_name(out.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        shutil.copytree(model, beside, copy_function=lambda source, to: copies.copy(Path(source), Path(to), model))
    except UserError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    if name == "base":
        import torch

        from voicetune.speech.conditioning import heard
        from voicetune.xtts import folder

        speakers = heard(folder.open_xtts(model), codes, clips, codes.speakers)
        torch.save(speakers, beside / folder.SPEAKERS)
    known = json.loads((beside / _OURS).read_text(encoding="utf-8")) if (beside / _OURS).is_file() else {}
    languages = [codes.clips[i].language for i in codes.training]
    facts = {
        **known,
        "published": name,
        "language": max(sorted(set(languages)), key=languages.count),
        "decoding": decoding.model_dump(mode="json"),
    }
    (beside / _OURS).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    os.replace(beside, out)
