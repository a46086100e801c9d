"""Stage ceiling: the recordings, and the recordings through the base's codec, measured as the models are."""

from pathlib import Path

from voicetune import params, stage


def main() -> None:
    settings = params.load()
    from voicetune.measures import spoken, suite  # torch and the stock classes: only once the parameters are good

    found = suite.ceiling(Path("models/base"), Path("data"), settings)
    for row in ("recordings", "codec"):
        figures = found[row].figures if found else {"sentences": 0}
        stage.write_json(Path(f"metrics/evaluate/{row}.json"), figures)
        takes = (found[row].takes, found[row].rows, found[row].rate) if found else ([], [], 0)
        spoken.save(Path("data/spoken") / row, *takes)
        print(f"{row}: {spoken.told(figures)}")


if __name__ == "__main__":
    stage.run(main)
