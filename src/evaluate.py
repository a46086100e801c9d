"""Stage evaluate: measures one model's cross entropies on the test clips, and the test sentences that it spoke.

Usage: python src/evaluate.py base | phase1 | phase2
"""

from pathlib import Path

from voicetune import entry, families, outputs
from voicetune.device import choose_device
from voicetune.params import reading
from voicetune.params.measuring import EvaluateStage
from voicetune.params.models import model_named

SPOKEN = Path("data/spoken")
OUT = Path("metrics/evaluate")


def main() -> None:
    name, settings = model_named(), reading.load(EvaluateStage)
    from voicetune.data.dataset import Dataset  # torch and stock classes load slowly: parameters are checked first
    from voicetune.measures import clip_losses, take_measures, takes

    folder, data = Path("models") / name, Dataset(Path("data"))
    codes = data.codes
    model = families.training(folder).open_model(folder)
    model.to(choose_device(settings.device))
    spoken, rate = takes.read(SPOKEN / name, codes)
    own, measures = model.own_encoder(), settings.evaluate.measures
    measurer = take_measures.measurer_for(own, data, spoken, settings.asr, settings.device, measures)
    take_measures.write(OUT / name, take_measures.measure(measurer, spoken, rate), take_measures.hashes(folder, data))
    losses = clip_losses.measure(model, data, settings.seed, settings.conditioning_seconds)
    clip_losses.write(OUT / name, losses)
    outputs.write_json(OUT / f"{name}.json", {**clip_losses.figures(losses), **take_measures.figures(OUT / name)})
    print(f"{name}: {clip_losses.summary(losses)}, {take_measures.summary(OUT / name)}")


if __name__ == "__main__":
    entry.run(main)
