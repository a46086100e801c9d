"""The files of a model folder of XTTS. Imports no torch."""

from pathlib import Path

from voicetune.errors import UserError

WEIGHTS = ("best_model.pth", "model.pth")
SHARED = ("config.json", "vocab.json", "dvae.pth", "mel_stats.pth")
SPEAKERS = "speakers_xtts.pth"
FACTS = "voicetune.json"
LICENCE = "LICENSE.txt"
# The part of a model.pth that is the HiFi-GAN and its speaker encoder: the same for every GPT, and never trained.
_DECODER_BYTES = 91_000_000


def weights_file(folder: Path) -> Path:
    """The path of the folder's weights: best_model.pth if it exists, else model.pth.

    Raises:
        UserError: the folder or one of its files is missing.
    """
    if not folder.is_dir():
        raise UserError(f"the folder {folder} does not exist; correct its name, or make it: `dvc repro`, `dvc pull`.")
    for name in SHARED:
        if not (folder / name).is_file():
            raise UserError(f"{folder} is no model folder: {name} is missing; run `dvc repro` or `dvc pull` first.")
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder} has no {' or '.join(WEIGHTS)}; run `dvc repro` or `dvc pull` first.")


def files(folder: Path) -> list[Path]:
    """The files that decide what the model says, besides its speakers. The weights are the first.

    Raises:
        UserError: see `weights_file`.
    """
    return [weights_file(folder), *(folder / name for name in SHARED)]


def count_bytes(folder: Path) -> tuple[int, int]:
    """The bytes of the weights, and about how many of them are the GPT's; zeros if there are no weights yet."""
    weights = max((path.stat().st_size for path in folder.glob("*model.pth")), default=0)
    return weights, max(0, weights - _DECODER_BYTES)
