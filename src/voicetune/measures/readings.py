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


def normalise(text: str, language: str) -> str:
    """The form in which two texts are compared.

    Spelt out as for the model (`xtts.spelling.spell_out`), in lower case, apostrophes gone, other punctuation and
    hyphens as spaces, single spaces. Letters keep their accents. Japanese is romanised, since one sound has many
    spellings, and its words then have spaces; Chinese is simplified, without spaces.
    """
    from voicetune.xtts.spelling import romanise, spell_out  # imports torch

    said = spell_out(_compatible(text, language), language)
    if language == "ja":
        said = romanise(said, language)
    said = re.sub(r"['’ʼ`\u00ad\u200b-\u200f\u2060\ufe0e\ufe0f\ufeff]", "", said.lower())  # and what is not seen
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in unicodedata.normalize("NFC", said))
    found = " ".join("".join(kept).split())
    return _simplifier().convert(_joined(found)) if language == "zh" else found


@functools.lru_cache(maxsize=4096)  # asked for by CER, WER, skips and repeats of the same take
def nearest(reference: str, hypothesis: str, language: str) -> tuple[str, str]:
    """Both texts normalised, with the readings of their numbers that differ in the smallest share of characters.

    One number after the other, of the reference and then of the hypothesis, gets the first reading that fits better
    than the plain one: no more than 36 comparisons for both texts.
    """
    raw = [_compatible(text, language) for text in (reference, hypothesis)]
    best = [normalise(text, language) for text in raw]
    for side in (0, 1):
        for found in reversed(list(_NUMBER.finditer(raw[side]))[:_MOST]):  # places before it stay as they are
            before, after = raw[side][: found.start()], raw[side][found.end() :]
            for group in _others(found[1], found[2], language) if best[0] != best[1] else ():
                texts = [f"{before}{words}{found[2]}{after}" for words in group]
                pairs = [[*best[:side], normalise(text, language), *best[side + 1 :]] for text in texts]
                least = min(range(len(pairs)), key=lambda i: _distance(pairs[i], language))
                if _distance(pairs[least], language) < _distance(best, language):
                    raw[side], best = texts[least], pairs[least]
                    break
    return best[0], best[1]


def _compatible(text: str, language: str) -> str:
    """The text in Unicode's compatibility form (NFKC); what this form would lose, `joined` rewrites first."""
    from voicetune.xtts.signs import joined
    from voicetune.xtts.spelling import plain_digits

    return unicodedata.normalize("NFKC", joined(plain_digits(text), language))


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


def _others(number: str, stop: str, language: str) -> Iterator[list[str]]:
    """Other readings of a number, in words: a year, an ordinal, a time, without its leading zeros, digit by digit.

    Each list has the variants of one reading; the nearest of them is compared.
    """
    from voicetune.xtts import numerals
    from voicetune.xtts.signs import STOPPED

    if not number.isdigit():
        hour, minute = re.split("[.:]", number)
        if len(minute) < 2 or int(hour) > 23 or int(minute) > 59 or (language == "en" and "." in number):
            return  # no time: "12.5" heard as "twelve five" is a fault
        minutes = _digits(minute, language) if minute[0] == "0" else [numerals.cardinal(minute, language)]
        yield [f"{numerals.cardinal(str(int(hour)), language)} {said}" for said in minutes]
        return
    if len(number) == 4 and number[0] in "12":
        yield [numerals.year(number, language)]
    if stop and language in STOPPED:
        yield [numerals.ordinal(number, language)]
    if len(number) > 1:
        bare = [numerals.cardinal(str(int(number)), language)] if number[0] == "0" else []
        yield [*bare, *_digits(number, language)]


def _digits(number: str, language: str) -> list[str]:
    """A number digit by digit; in English also with "oh" for zero."""
    from voicetune.xtts import numerals

    said = numerals.one_by_one(number, language)
    return [said, said.replace("zero", "oh")] if language == "en" and "0" in number else [said]


def _joined(text: str) -> str:
    """Chinese without its spaces; those between Latin words stay."""
    return re.sub(r"(?<![a-z]) | (?![a-z])", "", text)


@functools.cache
def _simplifier():
    """Traditional to simplified Chinese, character by character and by words that need it."""
    import opencc

    return opencc.OpenCC("t2s")
