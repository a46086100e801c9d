"""Stage speak: one model speaks the test sentences into data/spoken/<model>; the speakers used are saved there too.

Usage: python src/speak.py base | phase1 | phase2
"""

from pathlib import Path

from voicetune import entry, families
from voicetune.device import choose_device
from voicetune.params import reading
from voicetune.params.models import model_named
from voicetune.params.speaking import SpeakStage

SPOKEN = Path("data/spoken")


def main() -> None:
    name, settings = model_named(), reading.load(SpeakStage)
    from voicetune.data.dataset import Dataset  # torch and stock classes load slowly: parameters are checked first
    from voicetune.measures import speaking, takes
    from voicetune.speech import references
    from voicetune.speech.voice import Voice

    data = Dataset(Path("data"))
    codes = data.codes
    model = Path("models") / name
    voice = Voice(model, choose_device(settings.device))
    chosen = takes.spoken(codes, settings.seed, settings.speak.sentences)
    known = references.best(voice.model, data, codes.speakers)
    speakers = {who: one.speaker for who, one in known.items()}
    said = speaking.speak(voice, codes, speakers, chosen, settings.decoding, settings.seed, settings.speak.takes)
    takes.save(SPOKEN / name, said, voice.rate)
    references.save(SPOKEN / name, families.layout(model).SPEAKERS, known)
    print(f"{name}: {len(said)} takes of {len(chosen)} sentences, {sum(len(t.sound) for t in said) / voice.rate:.1f} s")


if __name__ == "__main__":
    entry.run(main)
