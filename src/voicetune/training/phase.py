"""Run one phase from the parent folder to the published folder: the loop, its state, the voices, the facts."""

import hashlib
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from voicetune import closure  # no dep: it names the folder of a state and changes no result
from voicetune.data.codes import Codes
from voicetune.errors import UserError
from voicetune.params.choosing import Choice
from voicetune.params.training import Phase, TrainStage
from voicetune.speech.conditioning import heard
from voicetune.training import agent, checkpoint, devices, loop, memory
from voicetune.training.attempts import OUT_OF_MEMORY, Attempts
from voicetune.xtts import copies, folder
from voicetune.xtts.gpt import Tokens, TrainingLoss
from voicetune.xtts.rows import measured_recipe


def run(
    name: str, settings: TrainStage, choice: Choice, parent: Path, out: Path, data: Path, log: loop.Log
) -> list[dict[str, object]]:
    """Train a phase, and publish its folder at the end with one rename.

    Args:
        name: the stage, which also names the state folder.
        choice: how the best model is chosen.
        parent: the model folder to start from; only its weights are taken.
        data: holds `codes` and `clips`.

    Returns:
        the restarts: step and reason of each failure of this training.

    Raises:
        UserError: see `loop.train`, `folder.open_xtts`, `checkpoint.locked`, `Attempts.check`.
    """
    phase, fabric = settings.phase, devices.fabric_for(settings)
    codes = Codes(data / "codes")
    facts = {
        "stage": name,
        "parameters_sha256": _sha256({"seed": settings.seed, **phase.model_dump(mode="json")}),
        "choice_sha256": _sha256(choice.model_dump(mode="json")),
        "data_sha256": folder.sha256(data / "codes" / "codes.safetensors"),
        "parent_sha256": folder.sha256(folder.weights_file(parent)),
    }
    spread = {"devices": fabric.world_size, "strategy": settings.strategy} if fabric.world_size > 1 else {}
    identity = {
        **facts, **spread, "device": fabric.device.type, "conditioning_seconds": settings.conditioning_seconds,
        "code_sha256": closure.sha256_of_stage("train"),  # a state that other code wrote is never continued
    }  # fmt: skip
    place = checkpoint.root(Path.cwd()) / f"{name}-{checkpoint.key(identity)}"
    first = fabric.is_global_zero
    if first:
        checkpoint.tidy(place.parent)
    with checkpoint.locked(place) if first else nullcontext():
        attempts = Attempts(place, agent.attempt(), first)
        if first:
            attempts.begin()
        fabric.barrier()
        attempts.check()
        with attempts.recorded():
            loss = _loss(parent, phase, settings.seed)
            state = checkpoint.State(place)
            best, progressed = loop.train(
                loss, codes, Tokens.of(loss.gpt), phase, settings.seed, state, log, fabric,
                measured_recipe(settings.conditioning_seconds), before_step=attempts.at,
                pieces=_pieces(attempts, phase), judge=_judge(loss, codes, data, choice, settings.seed, parent, fabric),
            )  # fmt: skip
            if first:
                _publish(out, parent, best, codes, data, {**facts, **_story(name, codes, phase, progressed, parent)})
        restarts = attempts.told()
        if first:
            state.remove()  # only now, so that a crash while publishing does not lose the training
    return restarts


def _loss(parent: Path, phase: Phase, seed: int) -> TrainingLoss:
    """The loss of the parent's GPT, with the memory savings that the phase asks for."""
    loss = TrainingLoss(folder.open_xtts(parent).gpt)
    if phase.lora_rank is not None:
        memory.add_lora(loss.gpt, phase.lora_rank, phase.lora_alpha, seed)
    if phase.activation_checkpointing:
        memory.checkpoint_activations(loss.gpt)
    return loss


def _judge(
    loss: TrainingLoss, codes: Codes, data: Path, choice: Choice, seed: int, parent: Path, fabric: Fabric
) -> loop.Judge | None:
    """The judge that chooses the best model by ear; None if the phase chooses by mel CE.

    Only the first rank judges. It broadcasts the result to the others.
    """
    if choice.select == "mel_ce":
        return None
    judge = None
    if fabric.is_global_zero:
        # Imported only if needed: the recogniser, the speaker encoder and the code that speaks.
        from voicetune.measures.judge import Judge  # no dep: its code is hashed in data/choice, by stage choose
        from voicetune.speech.voice import Voice  # no dep: see above

        voice = Voice(parent)
        voice.xtts.gpt = loss.gpt
        voice.to(fabric.device)
        judge = Judge(voice, codes, data, choice, seed)

    def asked() -> tuple[dict[str, float], float]:
        told: Any = fabric.broadcast(judge() if judge else None)
        return told

    return asked


def _pieces(attempts: Attempts, phase: Phase) -> int:
    """How many parts to split each micro-batch into: twice as many for each time that memory ran out.

    Raises:
        UserError: one clip at a time does not fit into memory.
    """
    pieces = 2 ** sum(failure.why == OUT_OF_MEMORY for failure in attempts.failures())
    if pieces >= 2 * phase.batch_size:
        raise UserError(
            "one clip at a time does not fit into memory; lower prepare.max_seconds,"
            " or see docs/gpu.md for what needs less."
        )
    if pieces > 1:
        size = -(-phase.batch_size // pieces)
        print(f"out of memory before: {size} clips at a time instead of {phase.batch_size}, the same step in all")
    return pieces


def _story(name: str, codes: Codes, phase: Phase, run: loop.Progressed, parent: Path) -> dict[str, Any]:
    """The facts of the phase, for the published folder."""
    known = folder.ours(parent)
    trained = [codes.clips[i] for i in codes.training]
    return {
        "ended": run.ended,
        "steps": run.step,
        "steps_before": steps_before(name, parent),
        "best_step": run.best_step,
        "select": phase.select,
        "mel_ce_start": run.start_mel_ce,
        "mel_ce": run.best_mel_ce,
        "text_ce": run.best_text_ce,
        "clips": len(trained),
        "clip_seconds": round(sum(clip.seconds for clip in trained), 1),
        "tokens": run.tokens,
        "base_licence": known.get("licence", "see the base's own licence; the published XTTS v2 is under the CPML"),
    }


def steps_before(name: str, parent: Path) -> int:
    """Number of phase 1 steps that were made before this phase."""
    return int(folder.ours(parent)["facts"]["steps"]) if name == "train_phase2" else 0


def _publish(out: Path, parent: Path, gpt: dict, codes: Codes, data: Path, facts: dict[str, Any]) -> None:
    """Publish the parent with the best weights and its speakers' voices.

    The parent is opened again, because the trained model may be sharded.
    """
    xtts = folder.open_xtts(parent)
    xtts.gpt.load_state_dict(gpt)
    torch.nn.Module.eval(xtts)
    voices = heard(xtts, folder.ours(parent)["vocoder"], codes, data / "clips", codes.speakers)
    with copies.whole(out, out.with_name(out.name + ".part")) as part:
        folder.close(part, parent, gpt, voices, facts)


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
