"""Two special measurements of the mel CE: with given conditioning latents, and as the stock trainer reports it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from TTS.tts.layers.xtts.gpt import GPT
from TTS.tts.models.xtts import Xtts

from voicetune.data.codes import Codes
from voicetune.data.dataset import Dataset
from voicetune.model import Recipe
from voicetune.precision import full_fp32
from voicetune.xtts import codec
from voicetune.xtts.batch import Batch, Tokens
from voicetune.xtts.gpt import TrainingLoss
from voicetune.xtts.gpt_rows import assemble, condition_on

_BATCH = 16
_RECIPE = Recipe()
_STOCK_BATCH = 3  # batch size of the stock recipe; the stock figure depends on it
_STOCK_SLICE, _STOCK_PADDED = 99225, 132300  # samples: a slice of 4.5 s, padded with silence to 6 s


class _Given(TrainingLoss):
    """The loss of clips that are all conditioned on the same latents (1, 32, width)."""

    def __init__(self, gpt: GPT, latents: Tensor):
        super().__init__(gpt)
        self.given = latents

    def latents(self, batch: Batch) -> Tensor:
        return self.given.expand(len(batch.text), -1, -1)


@torch.no_grad()
def measure_given(xtts: Xtts, codes: Codes, chosen: np.ndarray, latents: Tensor) -> float:
    """Measure the mel CE of clips that are all conditioned on the same latents (1, 32, width).

    It is in nats per token, computed in fp32 without dropout.
    """
    loss, tokens, device = _Given(xtts.gpt, latents.to(xtts.device)).eval(), Tokens.of(xtts.gpt), xtts.device
    order = chosen[np.argsort(codes.lengths[chosen], kind="stable")]
    nats, count = 0.0, 0
    for start in range(0, len(order), _BATCH):
        some = order[start : start + _BATCH]
        unused = np.zeros((len(some), 80, 1), np.float32)
        batch = assemble(codes, condition_on(some, unused), _RECIPE, tokens).to(device)
        with full_fp32(device):
            _, mel = loss(batch)
        nats, count = nats + float(mel.cpu().double().sum()), count + mel.numel()
    return nats / count


@torch.no_grad()
def measure_stock(xtts: Xtts, codes: Codes, clips: np.ndarray, mels: Callable[[int], np.ndarray]) -> float:
    """Measure the mel CE as the stock trainer reports it, for comparison with figures from that trainer.

    Each clip is conditioned on its own first seconds, and these are not masked, so the model sees part of the answer.
    There are four stop targets. The result is the unweighted mean over batches of three clips, without the first batch.
    Source: coqui-tts `trainer/gpt_trainer.py`, `eval_step`; coqui-tts-trainer `KeepAverage`.

    Args:
        mels: returns a clip's conditioning mel (80, frames), padded as the stock dataset pads it.
    """
    loss, tokens = TrainingLoss(xtts.gpt).eval(), Tokens.of(xtts.gpt)
    device = next(loss.parameters()).device
    recipe = Recipe(text_stop_visible=False, stop_targets=4)
    means = []
    for start in range(0, len(clips), _STOCK_BATCH):
        chosen = clips[start : start + _STOCK_BATCH]
        references = np.stack([mels(clip) for clip in chosen]).astype(np.float32)
        batch = assemble(codes, condition_on(chosen, references), recipe, tokens)
        with full_fp32(device):
            means.append(float(loss(batch.to(device))[1].mean()))
    return float(np.mean(means[1:] or means))


def own_beginnings(data: Dataset, mel_stats: Tensor) -> Callable[[int], np.ndarray]:
    """Return the argument `mels` of `measure_stock`.

    It maps a clip's position to the conditioning mel (80, frames) of the clip's own first seconds.
    """

    def beginning(clip: int) -> np.ndarray:
        samples = torch.from_numpy(data.sound(data.codes.clips[clip])[0])
        first = samples[: _STOCK_SLICE if len(samples) >= _STOCK_SLICE else len(samples) // 2]
        padded = F.pad(first, (0, _STOCK_PADDED - len(first)))
        return codec.conditioning_mel(padded[None], mel_stats)[0].numpy()

    return beginning
