"""Stage ceiling: saves and measures the recorded test sentences, and the same sentences after the base's codec.

It saves and measures both in the same way as a model's speech. With Griffin-Lim, no model of this base is expected to
score better than the codec row. HiFi-GAN instead makes sound from the GPT's latents, which training changes. The codec
row then uses the base's latents, and a trained model may score better.
"""

from pathlib import Path

from voicetune import entry
from voicetune.device import choose_device
from voicetune.params import reading
from voicetune.params.measuring import CeilingStage

SPOKEN = Path("data/spoken")
OUT = Path("metrics/evaluate")


def main() -> None:
    settings = reading.load(CeilingStage)
    from voicetune.data.dataset import Dataset  # torch and stock classes load slowly: parameters are checked first
    from voicetune.measures import speaking, take_measures, takes
    from voicetune.speech.voice import Voice

    data = Dataset(Path("data"))
    codes = data.codes
    chosen = takes.spoken(codes, settings.seed, settings.speak.sentences)
    voice = Voice(Path("models/base"), choose_device(settings.device))
    recorded, coded = takes.recorded(data, chosen), speaking.through_codec(voice, data, chosen)
    takes.save(SPOKEN / "recordings", recorded, voice.codec_rate)
    takes.save(SPOKEN / "codec", coded, voice.rate)
    for row in ("recordings", "codec"):
        spoken, rate = takes.read(SPOKEN / row, codes)
        own, measures = voice.model.own_encoder(), settings.evaluate.measures
        measurer = take_measures.measurer_for(own, data, spoken, settings.asr, settings.device, measures)
        facts = take_measures.floor(measurer, spoken) if row == "recordings" else speaking.describe_codec(voice)
        take_measures.write(OUT / row, take_measures.measure(measurer, spoken, rate), facts)
        print(f"{row}: {take_measures.summary(OUT / row)}")


if __name__ == "__main__":
    entry.run(main)
