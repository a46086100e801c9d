"""Stage publish: the model that `publish` names, into models/voice, with how it is to speak.

Everything after it uses models/voice: `say`, `export`, stage synthesize and the artifact `voice`. How codes are drawn
is written here and not by the training, so that another temperature trains nothing again.
"""

from pathlib import Path

from voicetune import stage
from voicetune.params import reading
from voicetune.params.measuring import PublishStage


def main() -> None:
    settings = reading.load(PublishStage)
    from voicetune.data.codes import Codes
    from voicetune.speech import publishing

    model, codes = Path("models") / settings.publish, Codes(Path("data/codes"))
    publishing.publish(settings.publish, model, Path("models/voice"), codes, Path("data/clips"), settings.decoding)
    print(f"models/voice is {settings.publish}")


if __name__ == "__main__":
    stage.run(main)
