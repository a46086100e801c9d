"""Stage base: puts the model that phase 1 starts from into models/base, in the stock client's layout."""

from pathlib import Path

from voicetune import entry, families
from voicetune.params import reading
from voicetune.params.encoding import BaseStage
from voicetune.params.shared import BUNDLE


def main() -> None:
    settings = reading.load(BaseStage)
    families.origins(settings.base).unfold(settings.base, Path("models/base"), BUNDLE)
    print(f"models/base is made from {settings.base}")


if __name__ == "__main__":
    entry.run(main)
