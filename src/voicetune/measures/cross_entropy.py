"""Cross entropy of validation and test clips in nats per token; every model gets the same references."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.nn import functional as F

from voicetune.data.codes import Codes
from voicetune.xtts import codec
from voicetune.xtts.gpt import Tokens, TrainingLoss
from voicetune.xtts.precision import full_fp32
from voicetune.xtts.rows import Recipe, assemble, draw, given

_BATCH = 16  # fixed, so that the figures do not depend on the batch size of the training
_STOCK_BATCH = 3  # batch size of the stock recipe; the stock figure depends on it
_STOCK_SLICE, _STOCK_PADDED = 99225, 132300  # samples: a slice of 4.5 s, padded with silence to 6 s


@dataclass(frozen=True)
class CrossEntropy:
    """Per clip: sums of nats, numbers of tokens, and how many audio targets were the model's most likely token or among
    its ten most likely ones; each (clips,) float64."""

    clips: np.ndarray
    mel: np.ndarray
    mel_tokens: np.ndarray
    text: np.ndarray
    text_tokens: np.ndarray
    top1: np.ndarray
    top10: np.ndarray

    @property
    def mel_ce(self) -> float:
        """Nats per audio token over all clips; the codes and one stop count as tokens."""
        return float(self.mel.sum() / self.mel_tokens.sum())

    @property
    def text_ce(self) -> float:
        """Nats per text token over all clips, without the `text_weight` of the training."""
        return float(self.text.sum() / self.text_tokens.sum())


@torch.no_grad()
def measure(
    loss: TrainingLoss, codes: Codes, clips: np.ndarray, tokens: Tokens, seed: int, recipe: Recipe
) -> CrossEntropy:
    """Measure the cross entropy of every clip in fp32 without TF32 and without dropout.

    Training and stage evaluate both call this function. The references depend only on `seed` and the clips, so two
    models with the same seed and clips are measured on the same task.
    """
    was_training = loss.training
    loss.eval()
    device = next(loss.parameters()).device
    order = clips[np.argsort(codes.lengths[clips], kind="stable")]
    sums = {name: np.zeros(len(codes)) for name in ("mel", "mel_tokens", "text", "text_tokens", "top1", "top10")}
    logits: list[torch.Tensor] = []
    watching = loss.gpt.mel_head.register_forward_hook(lambda _module, _input, output: logits.append(output))
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        rng = np.random.default_rng([seed, 2, start])
        batch = assemble(codes, draw(codes, chosen, recipe, rng), recipe, tokens).to(device)
        with full_fp32(device):
            text, mel = (ce.double().cpu().numpy() for ce in loss(batch))
        for name, values, of in (("text", text, batch.text_clips), ("mel", mel, batch.mel_clips)):
            np.add.at(sums[name], chosen[of.cpu().numpy()], values)
            np.add.at(sums[name + "_tokens"], chosen[of.cpu().numpy()], 1.0)
        found = logits.pop()
        ranks = (found > found.gather(1, batch.mel_targets[:, None])).sum(1).cpu().numpy()
        for name, first in (("top1", 1), ("top10", 10)):
            np.add.at(sums[name], chosen[batch.mel_clips.cpu().numpy()], ranks < first)
    watching.remove()
    loss.train(was_training)
    return CrossEntropy(clips=clips, **{name: values[clips] for name, values in sums.items()})


@torch.no_grad()
def measure_stock(
    loss: TrainingLoss, codes: Codes, clips: np.ndarray, tokens: Tokens, mels: Callable[[int], np.ndarray]
) -> float:
    """Measure the mel CE as the stock trainer reports it, for comparison with figures from that trainer.

    Each clip is conditioned on its own first seconds, and these are not masked, so the model sees part of the answer.
    There are four stop targets. The result is the unweighted mean over batches of three clips, without the first batch.
    Source: coqui-tts `trainer/gpt_trainer.py`, `eval_step`; coqui-tts-trainer `KeepAverage`.

    Args:
        mels: returns a clip's conditioning mel (80, frames), padded as the stock dataset pads it.
    """
    loss.eval()
    device = next(loss.parameters()).device
    recipe = Recipe(text_stop_visible=False, stop_targets=4)
    means = []
    for start in range(0, len(clips), _STOCK_BATCH):
        chosen = clips[start : start + _STOCK_BATCH]
        references = np.stack([mels(clip) for clip in chosen]).astype(np.float32)
        batch = assemble(codes, given(chosen, references), recipe, tokens)
        with full_fp32(device):
            means.append(float(loss(batch.to(device))[1].mean()))
    return float(np.mean(means[1:] or means))


def own_beginnings(codes: Codes, clips: Path, mel_stats: Tensor) -> Callable[[int], np.ndarray]:
    """Return the argument `mels` of `measure_stock`.

    It maps a clip's position to the conditioning mel (80, frames) of the clip's own first seconds.

    Args:
        clips: the folder of the recordings.
    """

    def beginning(clip: int) -> np.ndarray:
        samples = torch.from_numpy(soundfile.read(clips / codes.clips[clip].file, dtype="float32")[0])
        heard = samples[: _STOCK_SLICE if len(samples) >= _STOCK_SLICE else len(samples) // 2]
        padded = F.pad(heard, (0, _STOCK_PADDED - len(heard)))
        return codec.conditioning_mel(padded[None], mel_stats)[0].numpy()

    return beginning
