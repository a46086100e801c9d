"""CER and WER: what the recogniser reads wrongly."""

from typing import TYPE_CHECKING

from voicetune.measures.measure import Figure, Measure, Ratio, Row

if TYPE_CHECKING:
    from voicetune.measures.takes import Take


def _open(_material: object):
    from voicetune.recognition.intelligibility import character_errors, word_errors

    def measure(take: "Take", _rate: int, text: str) -> Row:
        wrong_characters, characters = character_errors(take.clip.text, text, take.clip.language)
        wrong_words, words = word_errors(take.clip.text, text, take.clip.language)
        return {"characters": characters, "character_errors": wrong_characters, "words": words,
                "word_errors": wrong_words}  # fmt: skip

    return measure


MEASURE = Measure(
    place=10,
    open=_open,
    reads=True,
    figures=(
        Figure(
            "cer", "CER", 3, "lower", "characters that the recogniser reads wrongly",
            Ratio("character_errors", "characters"), metric=True, cost=0.02, selects=True,
            composite=lambda cer: cer, one="CER {:.2f}",
        ),
        Figure("wer", "WER", 3, "lower", "words that it reads wrongly", Ratio("word_errors", "words"), metric=True),
    ),
)  # fmt: skip
