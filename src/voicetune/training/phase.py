"""One phase from parent folder to published folder: the loop, its state, the voices, the facts."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from voicetune import stage
from voicetune.data.codes import Codes
from voicetune.errors import UserError
from voicetune.params import Params, Phase
from voicetune.speech.voice import heard
from voicetune.training import checkpoint, loop
from voicetune.xtts import folder
from voicetune.xtts.gpt import Tokens, TrainingLoss
from voicetune.xtts.rows import measured_recipe


def run(name: str, phase: Phase, settings: Params, parent: Path, out: Path, data: Path, log: loop.Log) -> None:
    """Train a phase and publish its folder, at the end and in one rename.

    Args:
        name: the stage, which also names the state folder.
        parent: the model folder to start from; only its weights are taken.
        data: holds `codes` and `clips`.

    Raises:
        UserError: see `loop.train`, `folder.open_xtts`, `checkpoint.locked`.
    """
    fabric = _fabric(settings.device, phase)
    codes = Codes(data / "codes")
    facts = {
        "stage": name,
        "parameters_sha256": _sha256({"seed": settings.seed, **phase.model_dump(mode="json")}),
        "data_sha256": folder.sha256(data / "codes" / "codes.safetensors"),
        "parent_sha256": folder.sha256(folder.weights_file(parent)),
    }
    identity = {**facts, "device": fabric.device.type, "reference_seconds": settings.evaluate.reference_seconds}
    place = checkpoint.root(Path.cwd()) / f"{name}-{checkpoint.key(identity)}"
    checkpoint.tidy(place.parent)
    with checkpoint.locked(place):
        state = checkpoint.State(place)
        xtts = folder.open_xtts(parent)
        loss = TrainingLoss(xtts.gpt)
        best, progressed = loop.train(
            loss, codes, Tokens.of(xtts.gpt), phase, settings.seed, state, log, fabric,
            measured_recipe(settings.evaluate.reference_seconds),
        )  # fmt: skip
        xtts.cpu().gpt.load_state_dict(best)
        torch.nn.Module.eval(xtts)
        voices = heard(xtts, codes, data / "clips", codes.speakers)
        _publish(out, parent, best, voices, {**facts, **_story(codes, progressed, parent)})
        state.remove()  # only now: a crash while publishing costs nothing but the publishing


def _fabric(device: str, phase: Phase) -> Fabric:
    accelerator = stage.device(device)
    if accelerator == "cpu" and phase.precision == "16-mixed":
        raise UserError("precision: 16-mixed needs a GPU; set bf16-mixed or 32-true in params.yaml.")
    torch.backends.cuda.matmul.allow_tf32 = True
    return Fabric(accelerator=accelerator, devices=1, precision=phase.precision)


def _story(codes: Codes, run: loop.Progressed, parent: Path) -> dict[str, Any]:
    """What the phase did, in figures."""
    known = folder.ours(parent)
    trained = [codes.clips[i] for i in codes.training]
    return {
        "ended": run.ended,
        "steps": run.step,
        "best_step": run.best_step,
        "mel_ce_start": run.start_mel_ce,
        "mel_ce": run.best_mel_ce,
        "text_ce": run.best_text_ce,
        "clips": len(trained),
        "clip_seconds": round(sum(clip.seconds for clip in trained), 1),
        "tokens": run.tokens,
        "base_licence": known.get("licence", "see the base's own licence; the published XTTS v2 is under the CPML"),
    }


def _publish(out: Path, parent: Path, gpt: dict, voices: folder.Speakers, facts: dict[str, Any]) -> None:
    beside = out.with_name(out.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    folder.close(beside, parent, gpt, voices, facts)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(beside, out)


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
