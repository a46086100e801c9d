"""Stage publish: copies the model that `publish` names to models/voice, with its speakers and decoding parameters.

`say`, `export`, stage synthesize and the artifact `voice` use models/voice. This stage, not the training, records the
decoding parameters, each speaker's reference clips and the consent of each source. So a change of these does not
retrain a model, except a changed temperature in a phase that chooses by ear (see stage choose).
"""

from pathlib import Path

from voicetune import entry
from voicetune.data import clip, consent
from voicetune.params import reading
from voicetune.params.publishing import PublishStage
from voicetune.speech import publishing


def main() -> None:
    settings = reading.load(PublishStage)
    model, spoken = Path("models") / settings.publish, Path("data/spoken") / settings.publish
    clips = clip.read(Path("data/codes/clips.csv"))
    agreed = consent.list_entries(settings.prepare.sources, clips)
    publishing.publish(settings.publish, model, Path("models/voice"), spoken, clips, settings.decoding, agreed)
    print(f"models/voice is {settings.publish}", *consent.warnings(settings.prepare.sources), sep="\n")


if __name__ == "__main__":
    entry.run(main)
