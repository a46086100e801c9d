"""Prepares two texts to be compared by sound: brings both into one form, and picks the best reading of each number.

A speaker may say "1978" as a year or as a number, "5." as an ordinal or not, and "204" digit by digit. A recogniser may
write digits or words. None of these differences is an error of the speech.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator

_NUMBER = re.compile(r"(?<![\w.,])(\d{1,12}(?:[.:]\d{1,2})?)(\.?)(?![\w.,]*\d)")
_MOST = 6  # numbers per text for which other readings are tried, at most three for each


def normalise(text: str, language: str) -> str:
    """Bring a text into the form in which texts are compared.

    The text is spelt out as for the model (`text.spelling.spell_out`) and put in lower case. Apostrophes are removed,
    other punctuation and hyphens become spaces, and runs of spaces become one. Letters keep their accents. Japanese is
    romanised, because one sound has many spellings; its words then have spaces. Chinese is converted to simplified
    characters, and its spaces are removed except between Latin letters.
    """
    from voicetune.text.spelling import romanise, spell_out  # imports torch

    spelt = spell_out(_compatible(text, language), language)
    if language == "ja":
        spelt = romanise(spelt, language)
    spelt = re.sub(r"['’ʼ`\u00ad\u200b-\u200f\u2060\ufe0e\ufe0f\ufeff]", "", spelt.lower())  # and invisible characters
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in unicodedata.normalize("NFC", spelt))
    found = " ".join("".join(kept).split())
    return _simplifier().convert(_joined(found)) if language == "zh" else found


@functools.lru_cache(maxsize=4096)  # CER, WER, skips and repeats of a take all call it
def nearest(reference: str, hypothesis: str, language: str) -> tuple[str, str]:
    """Normalise both texts, and read their numbers so that the texts differ in a small share of characters.

    The numbers are tried one by one, first those of the reference and then those of the hypothesis. A number takes the
    first reading that fits better than the plain one. At most 36 readings are compared for both texts.
    """
    raw = [_compatible(text, language) for text in (reference, hypothesis)]
    best = [normalise(text, language) for text in raw]
    for side in (0, 1):
        for found in reversed(list(_NUMBER.finditer(raw[side]))[:_MOST]):  # from the last: earlier places stay valid
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
    """Convert to Unicode's compatibility form (NFKC), after `joined` has rewritten what this form would lose."""
    from voicetune.text.spelling import plain_digits
    from voicetune.text.written_numbers import joined

    return unicodedata.normalize("NFKC", joined(plain_digits(text), language))


def _distance(pair: list[str], language: str) -> float:
    """Errors per character of the first text.

    The plain number of errors would favour shorter readings of the reference when the recogniser heard nothing.
    """
    import jiwer

    expected, written = (characters(text, language) for text in pair)
    if not expected:
        return len(written)
    counted = jiwer.process_characters(expected, written)
    return (counted.substitutions + counted.deletions + counted.insertions) / len(expected)


def characters(normalised: str, language: str) -> str:
    """The characters to count: without spaces in Japanese and Chinese, which do not write them."""
    return normalised.replace(" ", "") if language in ("ja", "zh") else normalised


def words(normalised: str, language: str) -> list[str]:
    """The words to count: in Chinese, each character."""
    return list(normalised.replace(" ", "")) if language == "zh" else normalised.split()


def _others(number: str, stop: str, language: str) -> Iterator[list[str]]:
    """Other readings of a number, in words: a year, an ordinal, a time, without its leading zeros, or digit by digit.

    Each list holds the variants of one reading. `nearest` uses the variant that fits best.
    """
    from voicetune.text import numerals
    from voicetune.text.written_numbers import STOPPED

    if not number.isdigit():
        hour, minute = re.split("[.:]", number)
        if len(minute) < 2 or int(hour) > 23 or int(minute) > 59 or (language == "en" and "." in number):
            return  # not a time: "12.5" heard as "twelve five" is an error
        minutes = _digits(minute, language) if minute[0] == "0" else [numerals.cardinal(minute, language)]
        yield [f"{numerals.cardinal(str(int(hour)), language)} {spoken}" for spoken in minutes]
        return
    if len(number) == 4 and number[0] in "12":
        yield [numerals.year(number, language)]
    if stop and language in STOPPED:
        yield [numerals.ordinal(number, language)]
    if len(number) > 1:
        bare = [numerals.cardinal(str(int(number)), language)] if number[0] == "0" else []
        yield [*bare, *_digits(number, language)]


def _digits(number: str, language: str) -> list[str]:
    """A number read digit by digit; in English also with "oh" for zero."""
    from voicetune.text import numerals

    spoken = numerals.one_by_one(number, language)
    return [spoken, spoken.replace("zero", "oh")] if language == "en" and "0" in number else [spoken]


def _joined(text: str) -> str:
    """Remove the spaces of a Chinese text, except those between Latin letters."""
    return re.sub(r"(?<![a-z]) | (?![a-z])", "", text)


@functools.cache
def _simplifier():
    """OpenCC's converter from traditional to simplified Chinese, by characters and, where needed, by words."""
    import opencc

    return opencc.OpenCC("t2s")
