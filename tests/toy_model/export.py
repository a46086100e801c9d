"""Copies a toy's folder to give it away."""

import shutil
from pathlib import Path

from voicetune.model import Gift

CARD = "README.md"


def export(model: Path, out: Path, gift: Gift) -> None:
    shutil.copytree(model, out)
    (out / CARD).write_text(f"A toy. Consent: {list(gift.consents)}\n")
