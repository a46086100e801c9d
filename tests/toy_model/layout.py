"""The files of a toy's folder."""

from pathlib import Path

from voicetune.errors import UserError

CONFIG, WEIGHTS, SPEAKERS, FACTS = "config.json", "weights.pt", "speakers.pt", "voicetune.json"


def weights_file(folder: Path) -> Path:
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder} has no {WEIGHTS}; run `dvc repro`.")
    return folder / WEIGHTS


def files(folder: Path) -> list[Path]:
    return [weights_file(folder), folder / CONFIG]


def count_bytes(folder: Path) -> tuple[int, int]:
    size = (folder / WEIGHTS).stat().st_size if (folder / WEIGHTS).is_file() else 0
    return size, size
