"""Stage base: puts the model that phase 1 starts from into models/base, in the stock client's layout."""

from pathlib import Path

from voicetune import entry
from voicetune.params import reading
from voicetune.params.encoding import BaseStage
from voicetune.params.shared import BUNDLE


def main() -> None:
    settings = reading.load(BaseStage)
    from voicetune.xtts import origins  # torch and stock classes load slowly: parameters are checked first

    origins.unfold(settings.base, Path("models/base"), BUNDLE)
    print(f"models/base is {settings.base}")


if __name__ == "__main__":
    entry.run(main)
