"""Run one phase from the parent folder to the published folder: the loop, its state, the voices, the facts."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from voicetune import copies, families, files
from voicetune.closure import sha256_of_stage  # no dep: it names the folder of a state and changes no result
from voicetune.data.codes import Codes
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.model import Loss, measured_recipe
from voicetune.params.choosing import Choice
from voicetune.params.training import Phase, TrainStage
from voicetune.speech.conditioning import compute_speakers
from voicetune.training import agent, devices, loop, memory, state_folders
from voicetune.training.attempts import OUT_OF_MEMORY, Attempts
from voicetune.training.checkpoint import State
from voicetune.training.job import Job, Judge, Log
from voicetune.training.progress import Progress


def run(
    name: str, settings: TrainStage, choice: Choice, parent: Path, out: Path, data: Dataset, log: Log
) -> list[dict[str, object]]:
    """Train a phase, and publish its folder at the end with one rename.

    Args:
        name: the stage, which also names the state folder.
        choice: how the best model is chosen.
        parent: the model folder to start from; only its weights are taken.

    Returns:
        the restarts: step and reason of each failure of this training.

    Raises:
        UserError: see `loop.train`, `Training.open_model`, `state_folders.locked`, `Attempts.check`.
    """
    phase, fabric = settings.phase, devices.fabric_for(settings)
    codes = data.codes  # damaged data fails here, before the model is opened
    facts = _hash_inputs(name, settings, choice, parent, data)
    place = _find_state(name, settings, facts, fabric)
    is_first = fabric.is_global_zero
    with _begin_attempt(place, fabric) as attempts:
        with attempts.recorded():
            loss = _open_loss(parent, phase, settings.seed)
            job = Job(
                loss=loss, codes=codes, phase=phase, seed=settings.seed, fabric=fabric, state=State(place), log=log,
                measured=measured_recipe(settings.conditioning_seconds), before_step=attempts.at,
                pieces=_count_pieces(attempts, phase),
                judge=_make_judge(loss, data, choice, settings.seed, parent, fabric),
            )  # fmt: skip
            best, progress = loop.train(job)
            if is_first:
                facts |= _describe_training(name, codes, phase, progress, parent)
                _publish(out, parent, best, data, facts)
        restarts = attempts.list_restarts()
        if is_first:
            state_folders.remove(place)  # only now, so that a crash while publishing does not lose the training
    return restarts


def _hash_inputs(name: str, settings: TrainStage, choice: Choice, parent: Path, data: Dataset) -> dict[str, Any]:
    """The stage and the hashes of what its result depends on, besides the code and the devices."""
    return {
        "stage": name,
        "parameters_sha256": _hash({"seed": settings.seed, **settings.phase.model_dump(mode="json")}),
        "choice_sha256": _hash(choice.model_dump(mode="json")),
        "data_sha256": data.codes_sha256(),
        "parent_sha256": files.sha256(families.layout(parent).weights_file(parent)),
    }


def _find_state(name: str, settings: TrainStage, facts: dict[str, Any], fabric: Fabric) -> Path:
    """The state folder for this phase, with this code, on these devices."""
    shared = {"devices": fabric.world_size, "strategy": settings.strategy} if fabric.world_size > 1 else {}
    identity = {
        **facts, **shared, "device": fabric.device.type, "conditioning_seconds": settings.conditioning_seconds,
        "code_sha256": sha256_of_stage("train"),  # a state that other code wrote is never continued
    }  # fmt: skip
    return state_folders.root(Path.cwd()) / f"{name}-{state_folders.key(identity)}"


@contextmanager
def _begin_attempt(place: Path, fabric: Fabric) -> Iterator[Attempts]:
    """Begin an attempt at a training. The first rank locks the state folder, and the others wait for it.

    Raises:
        UserError: see `state_folders.locked` and `Attempts.check`.
    """
    is_first = fabric.is_global_zero
    with state_folders.locked(place) if is_first else nullcontext():
        if is_first:
            state_folders.tidy(place.parent)  # not before the lock, or it could remove the state that is used now
        attempts = Attempts(place, agent.attempt(), is_first)
        if is_first:
            attempts.begin()
        fabric.barrier()
        attempts.check()
        yield attempts


def _open_loss(parent: Path, phase: Phase, seed: int) -> Loss:
    """Open the loss of the parent, with the memory savings that the phase asks for."""
    loss = families.training(parent).open_model(parent).loss()
    if phase.lora_rank is not None:
        memory.add_lora(loss, phase.lora_rank, phase.lora_alpha, seed)
    if phase.activation_checkpointing:
        loss.recompute_activations()
    return loss


def _make_judge(loss: Loss, data: Dataset, choice: Choice, seed: int, parent: Path, fabric: Fabric) -> Judge | None:
    """Make the judge that chooses the best model by ear; None if the phase chooses by mel CE.

    Only the first rank judges. It broadcasts the result to the others.
    """
    if choice.select == "mel_ce":
        return None
    judge = None
    if fabric.is_global_zero:
        # Imported only if needed: the recogniser, the speaker encoder and the code that speaks.
        from voicetune.measures.judge import Judge as JudgeByEar  # no dep: its code is hashed in data/choice, by choose
        from voicetune.speech.voice import Voice  # no dep: see above

        voice = Voice(parent)
        voice.model.network = loss.network
        voice.to(fabric.device)
        judge = JudgeByEar(voice, data, choice, seed)

    def judge_for_all() -> tuple[dict[str, float], float]:
        verdict: Any = fabric.broadcast(judge() if judge else None)
        return verdict

    return judge_for_all


def _count_pieces(attempts: Attempts, phase: Phase) -> int:
    """Count the parts to split each micro-batch into: twice as many for each time that memory ran out.

    Raises:
        UserError: one clip at a time does not fit into memory.
    """
    pieces = 2 ** sum(failure.why == OUT_OF_MEMORY for failure in attempts.failures())
    if pieces >= 2 * phase.batch_size:
        raise UserError(
            "one clip at a time does not fit into memory; lower prepare.max_seconds in params.yaml,"
            " or take the settings in docs/gpu.md that need less memory."
        )
    if pieces > 1:
        size = -(-phase.batch_size // pieces)
        print(
            f"the memory was too small before: now {size} clips at a time instead of {phase.batch_size};"
            " each step still trains on the same clips"
        )
    return pieces


def _describe_training(name: str, codes: Codes, phase: Phase, progress: Progress, parent: Path) -> dict[str, Any]:
    """Describe the phase and its result, for the published folder."""
    known = families.folder(parent).read_facts(parent)
    trained = [codes.clips[i] for i in codes.training]
    return {
        "ended": progress.ended,
        "steps": progress.step,
        "steps_before": count_steps_before(name, parent),
        "best_step": progress.best_step,
        "select": phase.select,
        "mel_ce_start": progress.start_mel_ce,
        "mel_ce": progress.best_mel_ce,
        "text_ce": progress.best_text_ce,
        "clips": len(trained),
        "clip_seconds": round(sum(clip.seconds for clip in trained), 1),
        "tokens": progress.tokens,
        "base_licence": known.get("licence", "see the base's own licence; the published XTTS v2 is under the CPML"),
    }


def count_steps_before(name: str, parent: Path) -> int:
    """Count the phase 1 steps that were made before this phase."""
    return int(families.folder(parent).read_facts(parent)["facts"]["steps"]) if name == "train_phase2" else 0


def _publish(out: Path, parent: Path, weights: dict, data: Dataset, facts: dict[str, Any]) -> None:
    """Publish the parent with the best weights and its speakers' voices.

    The parent is opened again, because the trained model may be sharded.
    """
    training = families.training(parent)
    model = training.open_model(parent)
    model.network.load_state_dict(weights)
    speakers = compute_speakers(model, data, data.codes.speakers)
    with copies.whole(out, out.with_name(out.name + ".part")) as part:
        training.close(part, parent, weights, speakers, facts)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
