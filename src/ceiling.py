"""Stage ceiling: CER and SECS of the recordings, and of the recordings through the base's codec."""

from pathlib import Path

from voicetune import params, stage


def main() -> None:
    settings = params.load()
    from voicetune.measures import suite  # torch and the stock classes: only once the parameters are good

    figures = suite.ceiling(Path("models/base"), Path("data"), settings)
    stage.write_json(Path("metrics/ceiling.json"), figures)
    for take in ("recordings", "codec") if figures else ():
        print(f"{take}: CER {figures['cer_' + take]:.3f}, SECS {figures['secs_' + take]:.3f}")


if __name__ == "__main__":
    stage.run(main)
