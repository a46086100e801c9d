"""The renderer: a small network that turns audio codes and statistics of a voice into a log mel spectrogram.

The stock DVAE's decoder takes only the codes as input. It turns codes of a voice that it was not trained on into
another voice. In XTTS v2, HiFi-GAN adds the voice: it takes a speaker embedding. A base without a trained HiFi-GAN uses
the renderer instead: ConvNeXt blocks (Liu et al. 2022, arXiv:2201.03545; as in Vocos, Siuzdak 2023, arXiv:2306.00814)
that are conditioned on the mean and standard deviation of the voice's mel bands. Griffin-Lim turns the mel spectrogram
into sound.

The renderer's weights are in dvae.pth under `renderer.`, where the stock classes ignore them.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voicetune.xtts import codec
from voicetune.xtts.checks import BANDS, EMBEDDING

PREFIX = "renderer."
STATISTICS = 2 * BANDS
_QUIET = 0.3  # share of the frames to leave out: the quietest ones say nothing about a voice


class _Block(nn.Module):
    """A ConvNeXt block, from (batch, channels, frames) to the same shape."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, 4 * channels)
        self.narrow = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(self.depthwise(x).mT)
        return x + self.narrow(F.gelu(self.widen(inner))).mT


class Renderer(nn.Module):
    """Turns embedded codes into a log mel spectrogram.

    Args:
        codebook_dim: width of an embedded code.
        widths: channels at 21.5, 43 and 86 frames a second.
        blocks: ConvNeXt blocks at each of them.
    """

    mean: Tensor  # of each log mel band over the training data, (80,)
    spread: Tensor  # standard deviation of the same, (80,)

    def __init__(self, codebook_dim: int, widths: tuple[int, int, int], blocks: tuple[int, int, int]):
        super().__init__()
        self.begin = nn.Conv1d(codebook_dim, widths[0], 3, padding=1)
        self.voice = nn.ModuleList([nn.Linear(STATISTICS, widths[0]), nn.Linear(STATISTICS, widths[2])])
        self.blocks = nn.ModuleList(
            nn.Sequential(*(_Block(w) for _ in range(n))) for w, n in zip(widths, blocks, strict=True)
        )
        self.upsample = nn.ModuleList(nn.Conv1d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        self.end = nn.Conv1d(widths[2], BANDS, 3, padding=1)
        self.register_buffer("mean", torch.zeros(BANDS))
        self.register_buffer("spread", torch.ones(BANDS))

    def forward(self, embedded: Tensor, statistics: Tensor) -> Tensor:
        """From codes (batch, codebook_dim, codes) and statistics (batch, 160) to a log mel (batch, 80, 4 * codes)."""
        known = self._known(statistics)
        x = self.begin(embedded) + self.voice[0](known)[:, :, None]
        x = self.upsample[0](self.blocks[0](x).repeat_interleave(2, 2))
        x = self.upsample[1](self.blocks[1](x).repeat_interleave(2, 2)) + self.voice[1](known)[:, :, None]
        return self.end(self.blocks[2](x)) * self.spread[:, None] + self.mean[:, None]

    def _known(self, statistics: Tensor) -> Tensor:
        mean, spread = statistics.chunk(2, 1)
        return torch.cat([(mean - self.mean) / self.spread, spread / self.spread - 1], 1)


def sizes_of(weights: dict[str, Tensor]) -> dict:
    """The arguments of `Renderer` that fit its weights.

    Raises:
        KeyError: the weights are not a renderer's.
    """
    first, last = weights["upsample.0.weight"], weights["upsample.1.weight"]
    names = [name for name in weights if name.endswith(".depthwise.weight")]
    return {
        "codebook_dim": weights["begin.weight"].shape[1],
        "widths": (first.shape[1], first.shape[0], last.shape[0]),
        "blocks": tuple(sum(name.startswith(f"blocks.{level}.") for name in names) for level in range(3)),
    }


def statistics_of(mel: Tensor) -> Tensor:
    """Describe a voice by the mean and standard deviation of each log mel band over the louder frames.

    Args:
        mel: (80, frames), natural log, as `codec.log_mel` gives it.

    Returns:
        (160,) float32.
    """
    level = mel.mean(0)
    loud = mel[:, level >= level.quantile(_QUIET)]
    return torch.cat([loud.mean(1), loud.std(1, correction=0)])


def embedding_of(samples: Tensor) -> Tensor:
    """The statistics of recordings (1, samples) at 22,050 Hz, padded to a speaker_embedding's shape, (1, 512, 1)."""
    found = statistics_of(codec.log_mel(samples)[0])
    return F.pad(found, (0, EMBEDDING[1] - STATISTICS))[None, :, None]
