"""Copies a toy's folder to give it away."""

import shutil
from pathlib import Path

CARD = "README.md"


def export(model: Path, out: Path, consents: list[str]) -> None:
    shutil.copytree(model, out)
    (out / CARD).write_text(f"A toy. Consent: {consents}\n")
