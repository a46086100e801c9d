"""Measure what each choice of the training recipe gains. Each run changes one thing, with three seeds and one measure.

    python bench/asterisk.py asterisk-core-sounds-en*.deb --out work/asterisk
    python bench/ablations.py --data quiz=data/codes --data asterisk=work/asterisk/data/codes
    python bench/ablations.py --report bench/ablations.jsonl

Every run starts from models/base and is measured once, after its last step: validation mel cross entropy, with the same
references and targets for every arm (an arm is one changed setting). The test clips judge models, so they are not used
here. A finished run is one line of the file, and a second start skips it. Nothing else is saved.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from train_step import Nowhere

from voicetune import entry
from voicetune.data.codes import Codes
from voicetune.measures import cross_entropy, intervals
from voicetune.model import measured_recipe
from voicetune.params import whole
from voicetune.params.training import Phase
from voicetune.params.whole import Params
from voicetune.training import batches, loop
from voicetune.training.job import Job
from voicetune.training.optimization import optimizer_for
from voicetune.xtts import folder
from voicetune.xtts.gpt import TrainingLoss

SEEDS = (1, 2, 3)
AFRESH = ", new conditioning"  # ends the name of a dataset that is trained from `conditioned_afresh`
MEASURE_SEED = 1  # draws the references of the validation clips, the same for every arm and seed
STEPS = 48  # of each phase, about two epochs of the default data; phase 2 of params.yaml has five epochs
DECAYS = (0.9, 0.95)  # of the moving average, which reaches back about 10 and 20 steps

REFERENCES: dict[str, dict[str, Any]] = {
    "own reference for each clip": {"shared_reference": False},
    "reference: self": {"shared_reference": False, "reference": "self"},
    "reference: stock": {"shared_reference": False, "reference": "stock"},
}
CHANGED: dict[str, dict[str, Any]] = {  # arms that are the default phase 1 with other parameters
    **REFERENCES,
    "text STOP hidden from the audio": {"text_stop_visible": False},
    "dropout 0.1": {"dropout": 0.1},
}
AGAINST = {  # the arm that each is compared with
    **dict.fromkeys(CHANGED, "default"),
    "sampling with replacement": "default",
    **{f"average of weights, decay {decay}": "default" for decay in DECAYS},
    "phase 1, then phase 2": "phase 1 alone, as many steps",
}


Facts = dict[str, float]


@dataclass
class Bench:
    """A dataset and a model that is trained on it repeatedly, always from the same base weights. steps: of a phase."""

    data: str
    codes: Codes
    loss: TrainingLoss
    base: dict[str, torch.Tensor]
    settings: Params
    fabric: Fabric
    out: Path
    steps: int

    def reset(self) -> None:
        self.loss.network.load_state_dict(self.base)

    def train(self, phase: Phase, seed: int, steps: int, after_step: Callable[..., None] | None = None) -> Facts:
        """Train from the current weights for `steps` steps.

        Returns:
            `steps`; `seconds`, the clock time of the steps alone; `cpu_seconds` of all threads, which other work on
            the machine disturbs less.
        """
        never = {"eval_every": 10**9, "target_mel_ce": None, "patience": None}
        phase = phase.model_copy(update={**never, "epochs": 10**5, "max_steps": steps})
        codes = copy.copy(self.codes)
        codes.validation = codes.validation[:2]  # the loop's own evaluations are not used
        optimizer = optimizer_for(self.loss, phase)
        if after_step:
            optimizer.register_step_post_hook(after_step)
        started = time.process_time()
        job = Job(
            loss=self.loss, codes=codes, phase=phase, seed=seed, measured=self.recipe, fabric=self.fabric,
            state=Nowhere(Path("nowhere")), optimizer=optimizer,
        )  # fmt: skip
        _, run = loop.train(job)
        return {"steps": run.step, "seconds": run.seconds, "cpu_seconds": time.process_time() - started}

    def measure(self, arm: str, seed: int, facts: Facts) -> None:
        """Append a line with the nats and tokens of each validation clip, in fp32, for the current weights."""
        clips = self.codes.validation
        found = cross_entropy.measure(self.loss, self.codes, clips, MEASURE_SEED, self.recipe)
        line = {
            "data": self.data, "arm": arm, "seed": seed, **{name: round(value, 4) for name, value in facts.items()},
            "mel_ce": found.mel_ce, "nats": [round(x, 4) for x in found.mel], "tokens": found.mel_tokens.tolist(),
        }  # fmt: skip
        with self.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    @property
    def recipe(self):
        return measured_recipe(self.settings.conditioning_seconds)


def untrained(bench: Bench, seed: int) -> None:
    trained = [bench.codes.clips[i] for i in bench.codes.training]
    facts = {"steps": 0, "training_clips": len(trained), "training_minutes": sum(clip.seconds for clip in trained) / 60}
    bench.measure("untrained", seed, {**facts, **heard(bench)})


@torch.no_grad()
def heard(bench: Bench) -> dict[str, float]:
    """The mean size of the conditioning latents of eight training clips, and their mean spread from clip to clip."""
    mels = [torch.from_numpy(bench.codes.mel(i).T.astype(np.float32)) for i in bench.codes.training[:8]]
    latents = torch.stack([bench.loss.network.eval().get_style_emb(mel[None])[0] for mel in mels])
    return {"latents_size": latents.abs().mean().item(), "latents_spread": latents.std(0).mean().item()}


def default(bench: Bench, seed: int) -> None:
    """Train the default phase 1. Averages of its weights are computed meanwhile, and do not affect it."""
    averages = [AveragedModel(bench.loss.network, multi_avg_fn=get_ema_multi_avg_fn(decay)) for decay in DECAYS]

    def after_step(*_) -> None:
        for average in averages:
            average.update_parameters(bench.loss.network)

    facts = bench.train(bench.settings.train_phase1, seed, bench.steps, after_step)
    lines = {"default": copy.deepcopy(bench.loss.network.state_dict())}
    lines |= {f"average of weights, decay {d}": a.module.state_dict() for d, a in zip(DECAYS, averages, strict=True)}
    for arm, weights in reversed(lines.items()):  # the default's line, the last, marks the run as finished
        bench.loss.network.load_state_dict(weights)
        bench.measure(arm, seed, facts)


def changed(arm: str) -> Callable[[Bench, int], None]:
    def run(bench: Bench, seed: int) -> None:
        phase = bench.settings.train_phase1.model_copy(update=CHANGED[arm])
        bench.measure(arm, seed, bench.train(phase, seed, bench.steps))

    return run


_WHOLE_EPOCHS = batches.clips_of_step


def drawn_clips_of_step(seed: int, step: int, lengths: np.ndarray, batch: int) -> np.ndarray:
    """Like `batches.clips_of_step`, but an epoch draws its clips with replacement. They are sorted by length too."""
    number = step // batches.steps_per_epoch(len(lengths), batch)
    drawn = np.random.default_rng([seed, 4, number]).integers(len(lengths), size=len(lengths))
    return drawn[_WHOLE_EPOCHS(seed, step, lengths[drawn], batch)]


def with_replacement(bench: Bench, seed: int) -> None:
    with mock.patch.object(batches, "clips_of_step", drawn_clips_of_step):
        facts = bench.train(bench.settings.train_phase1, seed, bench.steps)
    bench.measure("sampling with replacement", seed, facts)


def two_phases(bench: Bench, seed: int) -> None:
    first = bench.train(bench.settings.train_phase1, seed, bench.steps)
    second = bench.train(bench.settings.train_phase2, seed, bench.steps)
    bench.measure("phase 1, then phase 2", seed, {name: first[name] + second[name] for name in first})


def one_phase(bench: Bench, seed: int) -> None:
    """Phase 1 at its own learning rate, with one cosine over the steps of both phases."""
    facts = bench.train(bench.settings.train_phase1, seed, 2 * bench.steps)
    bench.measure("phase 1 alone, as many steps", seed, facts)


Runs = dict[str, Callable[[Bench, int], None]]
RUNS: Runs = {
    "default": default,
    **{arm: changed(arm) for arm in CHANGED},
    "sampling with replacement": with_replacement,
}
REFERENCE_RUNS: Runs = {arm: run for arm, run in RUNS.items() if arm in ("default", *REFERENCES)}
LONG_RUNS: Runs = {"phase 1, then phase 2": two_phases, "phase 1 alone, as many steps": one_phase}


def opened(given: argparse.Namespace, data: dict[str, Path]) -> tuple[list[Bench], list[Bench]]:
    """Two benches for each dataset: one with the base, one with the base of `conditioned_afresh`."""
    settings = whole.load()
    if given.batch:
        phases = ("train_phase1", "train_phase2")
        smaller = {name: getattr(settings, name).model_copy(update={"batch_size": given.batch}) for name in phases}
        settings = settings.model_copy(update=smaller)
    xtts = folder.open_xtts(given.model)
    loss, base = TrainingLoss(xtts.gpt), copy.deepcopy(xtts.gpt.state_dict())
    other = conditioned_afresh(base, xtts, given.model)
    fabric = Fabric(accelerator="cpu", devices=1, precision=settings.train_phase1.precision)
    codes = {name: Codes(path) for name, path in data.items()}
    rest = settings, fabric, given.out, given.steps
    return (
        [Bench(name, own, loss, base, *rest) for name, own in codes.items()],
        [Bench(name + AFRESH, own, loss, other, *rest) for name, own in codes.items()],
    )


def campaign(benches: list[Bench], afresh: list[Bench], out: Path, seeds: tuple[int, ...]) -> None:
    """Do every run that the file lacks, seed by seed, the long ones last."""
    plan: list[tuple[Callable[[Bench, int], None], str, int, Bench]] = []
    plan += [(untrained, "untrained", 0, bench) for bench in benches + afresh]
    for group, runs in ((benches, RUNS), (afresh, REFERENCE_RUNS), (benches, LONG_RUNS)):
        plan += [(run, arm, seed, bench) for seed in seeds for bench in group for arm, run in runs.items()]
    for number, (run, arm, seed, bench) in enumerate(plan, 1):
        if (bench.data, arm, seed) not in read(out):
            print(f"{number} of {len(plan)}: {bench.data}, {arm}, seed {seed}", flush=True)
            bench.reset()
            run(bench, seed)


def conditioned_afresh(base: dict[str, torch.Tensor], xtts, model: Path) -> dict[str, torch.Tensor]:
    """The base with the conditioning encoder and perceiver of a new model.

    The conditioning latents of the tiny base of that time are zero for every reference.
    """
    torch.manual_seed(0)
    new = folder.build(xtts.config, folder.open_tokenizer(model)).gpt.state_dict()
    return {name: new[name] if name.startswith("conditioning_") else value for name, value in base.items()}


def read(path: Path) -> dict[tuple[str, str, int], dict]:
    """Read the finished runs by data, arm and seed."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(line["data"], line["arm"], line["seed"]): line for line in lines}


def report(path: Path) -> None:
    """Print a table for each dataset."""
    lines, resamples = read(path), whole.load().compare.bootstrap
    for data in dict.fromkeys(key[0] for key in lines):
        own = {(arm, seed): line for (name, arm, seed), line in lines.items() if name == data}
        start = own["untrained", 0]
        print(
            f"### {data}\n\n{start['training_clips']} training clips, {start['training_minutes']:.1f} minutes;"
            f" {len(start['tokens'])} clips to measure on, {sum(start['tokens']):.0f} audio tokens."
            f" Before training: mel CE {start['mel_ce']:.3f}; the conditioning latents of eight clips have a mean size"
            f" of {start['latents_size']:.3f} and a spread of {start['latents_spread']:.3f} from clip to clip.\n"
        )
        print("| arm | steps | seconds | mel CE | difference, 95 % interval | each seed |")
        print("| --- | --- | --- | --- | --- | --- |")
        runs = {arm for arm, _ in own}
        for against in (arm for arm in dict.fromkeys(AGAINST.values()) if arm in runs):
            print(row(own, against, None, resamples))
            for arm in (arm for arm, other in AGAINST.items() if other == against and arm in runs):
                print(row(own, arm, against, resamples))
        print()


def row(own: dict[tuple[str, int], dict], arm: str, against: str | None, resamples: int) -> str:
    """Format an arm: steps, median seconds, mean mel CE over seeds, and the difference to `against`, nats per token."""
    seeds = [seed for seed in SEEDS if (arm, seed) in own and (against or arm, seed) in own]
    if not seeds:
        return f"| {arm} (no seed finished) | | | | | |"
    mine = [own[arm, seed] for seed in seeds]
    if against is None:
        found, each = "", [f"{line['mel_ce']:.3f}" for line in mine]
    else:
        theirs = [own[against, seed] for seed in seeds]
        found = difference(theirs, mine, resamples)
        each = [f"{b['mel_ce'] - a['mel_ce']:+.3f}" for a, b in zip(theirs, mine, strict=True)]
    few = "" if len(seeds) == len(SEEDS) else f" (seed {', '.join(map(str, seeds))} only)"
    mean = np.mean([line["mel_ce"] for line in mine])
    cells = [arm + few, f"{mine[0]['steps']:.0f}", seconds(mine), f"{mean:.3f}", found, ", ".join(each)]
    return f"| {' | '.join(cells)} |"


def difference(theirs: list[dict], mine: list[dict], resamples: int) -> str:
    """Ours minus theirs, in nats per token. The bootstrap draws clips, each with the nats of all its seeds added up."""
    before, after = (np.sum([line["nats"] for line in side], axis=0) for side in (theirs, mine))
    tokens = np.sum([line["tokens"] for line in mine], axis=0)
    found = intervals.paired_difference(before, after, tokens, resamples, MEASURE_SEED)
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def seconds(lines: list[dict]) -> str:
    """Median seconds on the clock and, in brackets, of all threads if they were recorded."""
    clock = np.median([line["seconds"] for line in lines])
    threads = [line["cpu_seconds"] for line in lines if "cpu_seconds" in line]
    return f"{clock:.0f} ({np.median(threads):.0f})" if threads else f"{clock:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", default=[], metavar="NAME=CODES", help="a folder of encoded clips")
    parser.add_argument("--out", type=Path, default=Path("bench/ablations.jsonl"))
    parser.add_argument("--model", type=Path, default=Path("models/base"), help="the folder that every run starts from")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a phase")
    parser.add_argument("--batch", type=int, help="clips a step (params.yaml's)")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--report", type=Path, metavar="FILE", help="print the tables of these lines and end")
    given = parser.parse_args()
    if given.report:
        return report(given.report)
    data = dict(entry.split("=", 1) for entry in given.data or ["quiz=data/codes"])
    benches, afresh = opened(given, {name: Path(path) for name, path in data.items()})
    campaign(benches, afresh, given.out, tuple(given.seeds))


if __name__ == "__main__":
    entry.run(main)
