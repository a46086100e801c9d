"""Stage choose: writes into data/choice/<phase>.json how each phase chooses its best model.

A phase chooses by mel CE, or by ear (`select` is cer, mos or composite). By ear means that the model speaks validation
sentences, and measures of its speech decide. Such a phase depends on the decoding parameters, on the code that speaks
and measures, and on the recogniser if a measure needs it. A phase that chooses by mel CE depends on none of these. This
stage writes down what each phase depends on, so a changed temperature retrains only the phases that choose by ear.
"""

from pathlib import Path

from voicetune import closure, entry, outputs
from voicetune.measures import catalogue, choosing
from voicetune.params import reading
from voicetune.params.choosing import Choice, ChooseStage
from voicetune.params.training import PHASES

OUT = Path("data/choice")


def main() -> None:
    settings = reading.load(ChooseStage)
    for name in PHASES:
        select = getattr(settings, name).select
        choice = Choice(select=select, sentences=None, asr=None, decoding=None, code=None)
        if select != "mel_ce":
            reads = catalogue.reads(choosing.measures_of(select))
            choice = Choice(
                select=select, sentences=settings.choose.sentences, asr=settings.asr if reads else None,
                decoding=settings.decoding, code=closure.sha256(closure.JUDGE),
            )  # fmt: skip
        outputs.write_json(OUT / f"{name}.json", choice.model_dump(mode="json"))
        print(f"{name} chooses its best model by {select}")


if __name__ == "__main__":
    entry.run(main)
