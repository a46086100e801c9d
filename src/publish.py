"""Stage publish: the model that `publish` names, into models/voice, with its speakers and how it is to speak.

Everything after it uses models/voice: `say`, `export`, stage synthesize and the artifact `voice`. How codes are drawn,
and from which recordings its speakers are heard, is written here and not by the training, so that another temperature
or reference trains nothing again.
"""

from pathlib import Path

from voicetune import stage
from voicetune.data import clip
from voicetune.params import reading
from voicetune.params.measuring import PublishStage
from voicetune.speech import publishing


def main() -> None:
    settings = reading.load(PublishStage)
    model, spoken = Path("models") / settings.publish, Path("data/spoken") / settings.publish
    clips = clip.read(Path("data/codes/clips.csv"))
    publishing.publish(settings.publish, model, Path("models/voice"), spoken, clips, settings.decoding)
    print(f"models/voice is {settings.publish}")


if __name__ == "__main__":
    stage.run(main)
