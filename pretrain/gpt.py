"""Stage gpt: train the base's GPT in the library's own training loop. An interrupted run resumes where it stopped."""

import json
from pathlib import Path

import common
import numpy as np
import torch
from guided import GuidedLoss, spans
from lightning_fabric import Fabric
from muon import Muon
from safetensors.torch import save_file

from voicetune.data.codes import Codes
from voicetune.model import measured_recipe
from voicetune.params.reading import check
from voicetune.params.training import Phase
from voicetune.training import loop
from voicetune.training.checkpoint import State
from voicetune.training.job import Job
from voicetune.training.state_folders import locked
from voicetune.xtts import folder, origins
from voicetune.xtts.text import Tokenizer

LANGUAGES = ["en"]


class Heard(Codes):
    """An encoded dataset whose references are taken from clips that are long enough, and not from ones like "Yes.".

    Args:
        shortest: the fewest seconds of a clip that may be a reference.
    """

    def __init__(self, folder: Path, shortest: float):
        super().__init__(folder)
        self.long = np.array([clip.seconds >= shortest for clip in self.clips])

    def training_clips_of(self, speaker: str) -> np.ndarray:
        known = super().training_clips_of(speaker)
        return known[self.long[known]]


def main() -> None:
    params = common.params()
    settings = dict(params["gpt"])
    sizes, weight, sigma, reference_clip = (
        settings.pop(n) for n in ("sizes", "guidance", "guidance_codes", "reference_clip")
    )
    phase: Phase = check(Phase, settings, common.HERE / "params.yaml")
    tokenizer = Tokenizer(common.PARTS / "vocab.json")
    num_tokens = json.loads((common.PARTS / "dvae.json").read_text())["num_tokens"]
    torch.manual_seed(params["seed"])
    gpt = folder.build(origins.tiny_config(**sizes, num_tokens=num_tokens, languages=LANGUAGES), tokenizer).gpt
    print(f"GPT of {sum(p.numel() for p in gpt.parameters()) / 1e6:.2f} M parameters")
    codes = Heard(common.WORK / "codes", reference_clip)
    print(f"{len(codes.training)} clips to train on, {len(codes.validation)} for validation")
    heard = spans(codes, common.WORK / "clips" / "words.json", tokenizer.special("[SPACE]"), len(tokenizer))
    print(f"{len(heard)} clips of known word times")
    loss = GuidedLoss(gpt, weight, sigma, heard)
    encoded = common.WORK / "codes"
    made_by = common.fingerprint([params["gpt"], params["seed"]], encoded / "codes.safetensors", encoded / "clips.csv")
    state = common.WORK / f"state-gpt-{made_by}"
    fabric = Fabric(accelerator="auto", devices=1, precision=phase.precision)

    def log(step: int, row: dict, write: bool) -> None:
        if write:
            row = row | {"guidance": loss.guidance}
            print(step, {name: float(f"{value:.4g}") for name, value in row.items()}, flush=True)

    with locked(state):
        job = Job(
            loss=loss, codes=codes, phase=phase, seed=params["seed"], measured=measured_recipe(2.0), fabric=fabric,
            state=State(state), log=log, optimizer=Muon(gpt, phase.lr, phase.weight_decay),
        )  # fmt: skip
        best, run = loop.train(job)
    save_file({k: v.contiguous() for k, v in best.items()}, common.WORK / "gpt.safetensors")
    facts = {"best_step": run.best_step, "mel_ce": run.best_mel_ce, "text_ce": run.best_text_ce, "seconds": run.seconds}
    (common.WORK / "gpt.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    common.run(main)
