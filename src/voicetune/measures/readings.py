"""Two texts that are to be compared by sound: in one form, and each number in the reading that fits best.

"1978" is said as a year or as a number, "5." as an ordinal or not, "204" digit by digit, and a recogniser writes
digits or words as it likes: none of that is a fault of what was spoken.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator

_NUMBER = re.compile(r"(?<![\w.,])(\d{1,12}(?:[.:]\d{1,2})?)(\.?)(?![\w.,]*\d)")
_MOST = 6  # numbers of a text that are tried in other readings, each in at most three
_ORDINAL = ("de", "cs", "tr", "hu")  # written with a full stop


def normalise(text: str, language: str) -> str:
    """The form in which two texts are compared.

    Spelt out as for the model (`xtts.spelling.spell_out`), in lower case, apostrophes gone, other punctuation and
    hyphens as spaces, single spaces. Letters keep their accents. Japanese is romanised, since one sound has many
    spellings, and its words then have spaces; Chinese is simplified, without spaces.
    """
    from voicetune.xtts.spelling import romanise, spell_out  # imports torch

    said = spell_out(unicodedata.normalize("NFKC", text), language)
    if language == "ja":
        said = romanise(said, language)
    said = re.sub(r"['’ʼ`]", "", said.lower())
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in unicodedata.normalize("NFC", said))
    found = " ".join("".join(kept).split())
    return _simplifier().convert(_joined(found)) if language == "zh" else found


@functools.lru_cache(maxsize=4096)  # asked for by CER, WER, skips and repeats of the same take
def nearest(reference: str, hypothesis: str, language: str) -> tuple[str, str]:
    """Both texts normalised, with the readings of their numbers that differ in the smallest share of characters.

    One number after the other, of the reference and then of the hypothesis, gets the first reading that fits better
    than the plain one: no more than 36 comparisons for both texts.
    """
    from voicetune.xtts.spelling import plain_digits

    raw = [plain_digits(unicodedata.normalize("NFKC", text)) for text in (reference, hypothesis)]
    best = [normalise(text, language) for text in raw]
    for side in (0, 1):
        for found in reversed(list(_NUMBER.finditer(raw[side]))[:_MOST]):  # places before it stay as they are
            for words in _others(found[1], found[2], language) if best[0] != best[1] else ():
                text = f"{raw[side][: found.start()]}{words}{raw[side][found.end() :]}"
                pair = best.copy()
                pair[side] = normalise(text, language)
                if _distance(pair, language) < _distance(best, language):
                    raw[side], best = text, pair
                    break
    return best[0], best[1]


def _distance(pair: list[str], language: str) -> float:
    """Errors a character: not errors, which a shorter reading has fewer of where nothing was heard."""
    import jiwer

    expected, heard = (characters(text, language) for text in pair)
    if not expected:
        return len(heard)
    counted = jiwer.process_characters(expected, heard)
    return (counted.substitutions + counted.deletions + counted.insertions) / len(expected)


def characters(normalised: str, language: str) -> str:
    """What counts as characters: without the spaces that Japanese and Chinese do not write."""
    return normalised.replace(" ", "") if language in ("ja", "zh") else normalised


def words(normalised: str, language: str) -> list[str]:
    """What counts as words: in Chinese, each character."""
    return list(normalised.replace(" ", "")) if language == "zh" else normalised.split()


def _others(number: str, stop: str, language: str) -> Iterator[str]:
    """Other readings of a number, in words: as a year, an ordinal, a time, and digit by digit."""
    from voicetune.xtts import numerals

    if not number.isdigit():
        hour, minute = re.split("[.:]", number)
        if len(minute) < 2 or int(hour) > 23 or int(minute) > 59 or (language == "en" and "." in number):
            return  # no time: "12.5" heard as "twelve five" is a fault
        yield f"{numerals.cardinal(hour, language)} {numerals.cardinal(minute, language)}{stop}"
        return
    if len(number) == 4 and number[0] in "12":
        yield numerals.year(number, language) + stop
    if stop and language in _ORDINAL:
        yield numerals.ordinal(number, language) + stop
    if len(number) > 1:
        yield numerals.one_by_one(number, language) + stop


def _joined(text: str) -> str:
    """Chinese without its spaces; those between Latin words stay."""
    return re.sub(r"(?<![a-z]) | (?![a-z])", "", text)


@functools.cache
def _simplifier():
    """Traditional to simplified Chinese, character by character and by words that need it."""
    import opencc

    return opencc.OpenCC("t2s")
