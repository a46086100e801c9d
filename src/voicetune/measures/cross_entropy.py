"""Cross entropy of validation and test clips in nats per token; every model gets the same references."""

from dataclasses import dataclass

import numpy as np
import torch

from voicetune.data.codes import Codes
from voicetune.model import Loss, Recipe
from voicetune.precision import full_fp32

_BATCH = 16  # fixed, so that the figures do not depend on the batch size of the training


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
def measure(loss: Loss, codes: Codes, clips: np.ndarray, seed: int, recipe: Recipe) -> CrossEntropy:
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
    watching = loss.mel_head.register_forward_hook(lambda _module, _input, output: logits.append(output))
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        rng = np.random.default_rng([seed, 2, start])
        batch = loss.batch(codes, loss.draw(codes, chosen, recipe, rng), recipe).to(device)
        with full_fp32(device):
            text, mel = (ce.cpu().double().numpy() for ce in loss(batch))
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
