"""Stage base: the model that phase 1 starts from, into models/base, in the stock client's layout."""

from pathlib import Path

from voicetune import stage
from voicetune.params import reading
from voicetune.params.data import BaseStage
from voicetune.params.shared import BUNDLES


def main() -> None:
    settings = reading.load(BaseStage)
    from voicetune.xtts import origins  # torch and the stock classes: only once the parameters are good

    origins.unfold(settings.base, Path("models/base"), BUNDLES.get(settings.base))
    print(f"models/base is {settings.base}")


if __name__ == "__main__":
    stage.run(main)
