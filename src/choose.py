"""Stage choose: how each phase's best model is chosen, into data/choice/<phase>.json.

A phase that chooses by mel CE depends on nothing that speaks or listens; one that chooses by ear depends on how
codes are drawn, on the recogniser, and on the code of both. This stage writes down what each phase depends on, so
that a changed temperature retrains the phases that choose by ear, and no other.
"""

from pathlib import Path

from voicetune import closure, stage
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
            choice = Choice(
                select=select, sentences=settings.choose.sentences, asr=settings.asr, decoding=settings.decoding,
                code=closure.sha256(closure.JUDGE),
            )  # fmt: skip
        stage.write_json(OUT / f"{name}.json", choice.model_dump(mode="json"))
        print(f"{name} chooses its best model by {select}")


if __name__ == "__main__":
    stage.run(main)
