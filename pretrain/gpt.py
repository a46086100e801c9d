"""The training stages of the tiny GPT (params.yaml, `stages`), in the library's own training loop.

Usage: python gpt.py STAGE; a stage goes on from the best weights of the one before.
"""

import json
import sys
from pathlib import Path

import common
import numpy as np
import torch
from conditioning import hearing
from guided import GuidedLoss, spans
from lightning_fabric import Fabric
from muon import Muon
from safetensors.torch import load_file, save_file

from voicetune.data.codes import Codes
from voicetune.params.reading import check
from voicetune.params.training import Phase
from voicetune.training import loop
from voicetune.training.checkpoint import State, locked
from voicetune.xtts import folder, origins
from voicetune.xtts.gpt import Tokens
from voicetune.xtts.rows import measured_recipe
from voicetune.xtts.text import Tokenizer


class Heard(Codes):
    """An encoded dataset of which a speaker is heard in clips that are long enough, and in no others.

    One batch's references are cut to the shortest of them: with "Yes." among them, nobody would be heard for longer.

    Args:
        shortest: seconds of such a clip.
    """

    def __init__(self, folder: Path, shortest: float):
        super().__init__(folder)
        self.long = np.array([clip.seconds >= shortest for clip in self.clips])

    def training_clips_of(self, speaker: str) -> np.ndarray:
        known = super().training_clips_of(speaker)
        return known[self.long[known]]


def main() -> None:
    stage = sys.argv[1]
    params = common.params()
    settings = dict(params[stage])
    names = ("data", "guidance", "guidance_codes", "reference_clip")
    data, weight, sigma, reference_clip = (settings.pop(name) for name in names)
    phase: Phase = check(Phase, settings, common.HERE / "params.yaml")
    tokenizer = Tokenizer(common.BUNDLE / "vocab.json")
    num_tokens = json.loads((common.BUNDLE / "dvae.json").read_text())["num_tokens"]
    torch.manual_seed(params["seed"])
    settings_of_xtts = origins.tiny_config(**params["gpt"], num_tokens=num_tokens, languages=["en", "hu"])
    gpt = folder.build(settings_of_xtts, tokenizer).gpt
    before = params["stages"].index(stage) - 1
    if before >= 0:
        gpt.load_state_dict(hearing(load_file(common.WORK / f"{params['stages'][before]}.safetensors"), params))
    print(f"GPT of {sum(p.numel() for p in gpt.parameters()) / 1e6:.2f} M parameters")
    codes = Heard(common.WORK / data / "codes", reference_clip)
    print(f"{len(codes.training)} clips to train on, {len(codes.validation)} for validation")
    heard = spans(codes, common.WORK / data / "clips" / "words.json", tokenizer.special("[SPACE]"), len(tokenizer))
    print(f"{len(heard)} clips of known word times")
    loss = GuidedLoss(gpt, weight, sigma, heard)
    state = common.WORK / f"state-{stage}"
    fabric = Fabric(accelerator="auto", devices=1, precision=phase.precision)

    def log(step: int, row: dict, write: bool) -> None:
        if write:
            row = row | {"guidance": loss.guidance}
            print(step, {name: float(f"{value:.4g}") for name, value in row.items()}, flush=True)

    with locked(state):
        best, run = loop.train(
            loss,
            codes,
            Tokens.of(gpt),
            phase,
            params["seed"],
            State(state),
            log,
            fabric,
            measured_recipe(3.0),
            Muon(gpt, phase.lr, phase.weight_decay),
        )
    save_file({k: v.contiguous() for k, v in best.items()}, common.WORK / f"{stage}.safetensors")
    facts = {"best_step": run.best_step, "mel_ce": run.best_mel_ce, "text_ce": run.best_text_ce, "seconds": run.seconds}
    (common.WORK / f"{stage}.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    common.run(main)
