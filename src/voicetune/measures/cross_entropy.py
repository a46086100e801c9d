"""Cross entropy of validation and test clips: nats per token over all tokens, the same references for every model."""

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

_BATCH = 16  # fixed, so that a figure does not depend on the training's batch size
_STOCK_BATCH = 3  # of the stock recipe, on which its figure depends
_STOCK_SLICE, _STOCK_PADDED = 99225, 132300  # samples: 4.5 s heard, padded with silence to 6 s


@dataclass(frozen=True)
class CrossEntropy:
    """Per clip: sums of nats, numbers of tokens, and how many audio tokens were among the model's first 1 and 10; each
    (clips,) float64."""

    clips: np.ndarray
    mel: np.ndarray
    mel_tokens: np.ndarray
    text: np.ndarray
    text_tokens: np.ndarray
    top1: np.ndarray
    top10: np.ndarray

    @property
    def mel_ce(self) -> float:
        """Nats per audio token, codes and one stop, over all clips."""
        return float(self.mel.sum() / self.mel_tokens.sum())

    @property
    def text_ce(self) -> float:
        """Nats per text token, unscaled, over all clips."""
        return float(self.text.sum() / self.text_tokens.sum())


@torch.no_grad()
def measure(
    loss: TrainingLoss, codes: Codes, clips: np.ndarray, tokens: Tokens, seed: int, recipe: Recipe
) -> CrossEntropy:
    """Cross entropy of every clip in fp32 without TF32, dropout off: in training and in stage evaluate alike.

    References are drawn from `seed` and the clips alone, so two models given the same are compared on
    the same task.
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
    """mel CE as the stock trainer reports it, to compare with what others read there.

    Each clip is conditioned on its own first seconds, unmasked, so that the answer leaks into the
    question; four stop targets; the mean of each batch of three counts the same, and the first batch
    is dropped. Source: coqui-tts `trainer/gpt_trainer.py`, `eval_step`; coqui-tts-trainer `KeepAverage`.

    Args:
        mels: gives a clip's conditioning mel (80, frames), padded as the stock dataset pads it.
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
    """What `measure_stock` conditions a clip on: the mel (80, frames) of its own first seconds.

    Args:
        clips: the folder of the recordings.
    """

    def beginning(clip: int) -> np.ndarray:
        samples = torch.from_numpy(soundfile.read(clips / codes.clips[clip].file, dtype="float32")[0])
        heard = samples[: _STOCK_SLICE if len(samples) >= _STOCK_SLICE else len(samples) // 2]
        padded = F.pad(heard, (0, _STOCK_PADDED - len(heard)))
        return codec.conditioning_mel(padded[None], mel_stats)[0].numpy()

    return beginning
