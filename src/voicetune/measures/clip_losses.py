"""The cross entropies of one model over the test clips, and their table."""

from dataclasses import dataclass
from pathlib import Path

from voicetune.data.dataset import Dataset
from voicetune.measures import clip_table, cross_entropy
from voicetune.measures.cross_entropy import CrossEntropy
from voicetune.model import Model, measured_recipe


@dataclass(frozen=True)
class ClipLosses:
    """ids: of the test clips. stock_mel_ce: the mel CE as the model's own trainer measures it."""

    ids: list[str]
    losses: CrossEntropy
    stock_mel_ce: float


def measure(model: Model, data: Dataset, seed: int, conditioning_seconds: float) -> ClipLosses:
    """Measure one model on every test clip.

    Args:
        conditioning_seconds: length of the reference, which is cut from another clip of the speaker; the same for every
            model.
    """
    codes = data.codes
    found = cross_entropy.measure(model.loss(), codes, codes.test, seed, measured_recipe(conditioning_seconds))
    stock = model.mel_ce_stock(data, codes.test)
    return ClipLosses([codes.clips[i].id for i in found.clips], found, stock)


def write(out: Path, measured: ClipLosses) -> None:
    """Write the row's clips.csv."""
    found = measured.losses
    columns = {
        "mel_nats": found.mel, "mel_tokens": found.mel_tokens, "text_nats": found.text,
        "text_tokens": found.text_tokens, "top1": found.top1, "top10": found.top10,
    }  # fmt: skip
    clip_table.write(out / clip_table.TABLE, measured.ids, columns)


def figures(measured: ClipLosses) -> dict[str, float]:
    """The cross entropies for a model's metrics file, in nats per token."""
    found = measured.losses
    return {"mel_ce": found.mel_ce, "text_ce": found.text_ce, "mel_ce_stock": measured.stock_mel_ce}


def summary(measured: ClipLosses) -> str:
    """The cross entropies for a line on the terminal."""
    return f"mel CE {measured.losses.mel_ce:.4f}, text CE {measured.losses.text_ce:.4f}"
