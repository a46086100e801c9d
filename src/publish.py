"""Stage publish: copies the model that `publish` names to models/voice, with its speakers and decoding parameters.

`say`, `export`, stage synthesize and the artifact `voice` use models/voice. This stage, not the training, records the
decoding parameters and each speaker's reference clips. So a changed temperature or reference does not retrain a model,
except in a phase that chooses by ear (see stage choose).
"""

from pathlib import Path

from voicetune import entry
from voicetune.data import clip
from voicetune.params import reading
from voicetune.params.publishing import PublishStage
from voicetune.speech import publishing


def main() -> None:
    settings = reading.load(PublishStage)
    model, spoken = Path("models") / settings.publish, Path("data/spoken") / settings.publish
    clips = clip.read(Path("data/codes/clips.csv"))
    publishing.publish(settings.publish, model, Path("models/voice"), spoken, clips, settings.decoding)
    print(f"models/voice is {settings.publish}")


if __name__ == "__main__":
    entry.run(main)
