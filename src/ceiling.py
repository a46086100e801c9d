"""Stage ceiling: the test sentences as recorded, and through the base's codec, kept and measured as a model's are.

With Griffin-Lim, the codec's row is what no model of this base is expected to pass. HiFi-GAN voices the GPT's latents,
which training changes: there it is the codec as the base voices it, and a trained model may pass it.
"""

from pathlib import Path

from voicetune import stage
from voicetune.params import reading
from voicetune.params.measuring import CeilingStage

SPOKEN = Path("data/spoken")
OUT = Path("metrics/evaluate")


def main() -> None:
    settings = reading.load(CeilingStage)
    from voicetune.data.codes import Codes  # torch and the stock classes: only once the parameters are good
    from voicetune.measures import hearing, speaking, takes
    from voicetune.speech.voice import Voice

    codes, clips = Codes(Path("data/codes")), Path("data/clips")
    chosen = takes.sentences(codes.test, settings.seed, settings.speak.sentences)
    voice = Voice(Path("models/base"), stage.device(settings.device))
    recorded, coded = takes.recorded(codes, clips, chosen), speaking.through_codec(voice, codes, clips, chosen)
    takes.save(SPOKEN / "recordings", recorded, voice.codec_rate)
    takes.save(SPOKEN / "codec", coded, voice.rate)
    for row in ("recordings", "codec"):
        said, rate = takes.read(SPOKEN / row, codes)
        ears = hearing.ears_for(
            voice.xtts, voice.vocoder, codes, clips, said, settings.asr, settings.device, settings.evaluate.measures
        )
        facts = hearing.floor(ears, said) if row == "recordings" else {"vocoder": voice.vocoder}
        hearing.write(OUT / row, hearing.hear(ears, said, rate), facts)
        print(f"{row}: {hearing.summary(OUT / row)}")


if __name__ == "__main__":
    stage.run(main)
