"""The five training stages of the tiny GPT (params.yaml, `stages`), in the library's own training loop.

Usage: python gpt.py STAGE; a stage goes on from the best weights of the one before.
"""

import json
import sys

import common
import torch
from guided import GuidedLoss, token_lengths
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file
from TTS.tts.layers.xtts.gpt import GPT

from voicetune.data.codes import Codes
from voicetune.params import Phase, check
from voicetune.training import loop
from voicetune.training.batches import Tokens, measured_recipe
from voicetune.training.checkpoint import State, locked
from voicetune.xtts.text import Tokenizer


def build(sizes: dict, tokenizer: Tokenizer, num_tokens: int) -> GPT:
    """A GPT with XTTS v2's tables and limits in small."""
    return GPT(
        layers=sizes["layers"], model_dim=sizes["width"], heads=sizes["heads"],
        max_text_tokens=402, max_mel_tokens=605, max_prompt_tokens=70,
        number_text_tokens=len(tokenizer), start_text_token=tokenizer.special("[START]"),
        stop_text_token=tokenizer.special("[STOP]"), num_audio_tokens=num_tokens + 2,
        start_audio_token=num_tokens, stop_audio_token=num_tokens + 1,
        use_perceiver_resampler=True, code_stride_len=1024,
    )  # fmt: skip


def main() -> None:
    stage = sys.argv[1]
    params = common.params()
    settings = dict(params[stage])
    data, weight, sigma = (settings.pop(name) for name in ("data", "guidance", "guidance_codes"))
    phase: Phase = check(Phase, settings, common.HERE / "params.yaml")
    tokenizer = Tokenizer(common.BUNDLE / "vocab.json")
    num_tokens = json.loads((common.BUNDLE / "dvae.json").read_text())["num_tokens"]
    torch.manual_seed(params["seed"])
    gpt = build(params["gpt"], tokenizer, num_tokens)
    before = params["stages"].index(stage) - 1
    if before >= 0:
        gpt.load_state_dict(load_file(common.WORK / f"{params['stages'][before]}.safetensors"))
    print(f"GPT of {sum(p.numel() for p in gpt.parameters()) / 1e6:.2f} M parameters")
    codes = Codes(common.WORK / data / "codes")
    print(f"{len(codes.training)} clips to train on, {len(codes.held_out)} held out")
    special = Tokens(gpt.start_text_token, gpt.stop_text_token, gpt.start_audio_token, gpt.stop_audio_token)
    loss = GuidedLoss(gpt, weight, sigma, token_lengths(codes, len(tokenizer)))
    folder = common.WORK / f"state-{stage}"
    fabric = Fabric(accelerator="auto", devices=1, precision=phase.precision)

    def log(step: int, row: dict, write: bool) -> None:
        if write:
            print(step, {name: float(f"{value:.4g}") for name, value in row.items()}, flush=True)

    with locked(folder):
        best, run = loop.train(
            loss,
            codes,
            special,
            phase,
            params["seed"],
            State(folder),
            log,
            fabric,
            measured_recipe(3.0),
        )
    save_file({k: v.contiguous() for k, v in best.items()}, common.WORK / f"{stage}.safetensors")
    facts = {"best_step": run.best_step, "mel_ce": run.best_mel_ce, "text_ce": run.best_text_ce, "seconds": run.seconds}
    (common.WORK / f"{stage}.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    common.run(main)
