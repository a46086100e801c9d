"""Spells numbers that num2words cannot: Hindi ones, Czech ordinals, ordinals that it lacks, and very long numbers."""

import re
from itertools import groupby

from num2words import CONVERTER_CLASSES, num2words
from TTS.tts.layers.xtts.tokenizer import _ordinal_re, expand_numbers_multilingual

# The errors of num2words, and of the stock cleaners that call it, for a number that they cannot spell.
FAILS = (LookupError, ArithmeticError, ValueError, NotImplementedError, AssertionError, RecursionError, TypeError)

_HINDI_WORDS = """
शून्य एक दो तीन चार पाँच छह सात आठ नौ
दस ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह अठारह उन्नीस
बीस इक्कीस बाईस तेईस चौबीस पच्चीस छब्बीस सत्ताईस अट्ठाईस उनतीस
तीस इकतीस बत्तीस तैंतीस चौंतीस पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस
चालीस इकतालीस बयालीस तैंतालीस चौवालीस पैंतालीस छियालीस सैंतालीस अड़तालीस उनचास
पचास इक्यावन बावन तिरेपन चौवन पचपन छप्पन सत्तावन अट्ठावन उनसठ
साठ इकसठ बासठ तिरेसठ चौंसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर
सत्तर इकहत्तर बहत्तर तिहत्तर चौहत्तर पचहत्तर छिहत्तर सतहत्तर अठहत्तर उन्यासी
अस्सी इक्यासी बयासी तिरासी चौरासी पचासी छियासी सत्तासी अट्ठासी नवासी
नब्बे इक्यानवे बानवे तिरानवे चौरानवे पचानवे छियानवे सत्तानवे अट्ठानवे निन्यानवे
"""
_HINDI = _HINDI_WORDS.split()
_HINDI_POWERS = ((10**7, "करोड़"), (10**5, "लाख"), (1000, "हज़ार"), (100, "सौ"))
_HINDI_LARGEST = 10**14
_CZECH_WORDS = """
nultý první druhý třetí čtvrtý pátý šestý sedmý osmý devátý desátý jedenáctý dvanáctý třináctý čtrnáctý patnáctý
šestnáctý sedmnáctý osmnáctý devatenáctý
dvacátý třicátý čtyřicátý padesátý šedesátý sedmdesátý osmdesátý devadesátý
"""
_CZECH = _CZECH_WORDS.split()  # 0 to 19, then the tens
_CHINESE = "零一二三四五六七八九"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def can_spell(language: str) -> bool:
    """Whether numbers can be spelt in the language. Of a code that it lacks, num2words would take the first letters."""
    return language in CONVERTER_CLASSES or language in ("hi", "zh")


def cardinal(digits: str, language: str) -> str:
    """Spell a whole number; digit by digit if it begins with 0 or cannot be spelt as a number.

    Args:
        digits: ASCII digits only.
    """
    if (len(digits) > 1 and digits.startswith("0")) or not can_spell(language):
        return one_by_one(digits, language)
    try:
        if language == "hi":
            return hindi(int(digits))
        return num2words(int(digits), lang=language)
    except FAILS:
        return one_by_one(digits, language)


def one_by_one(digits: str, language: str) -> str:
    """Spell each digit by itself, with spaces between them except in Chinese and Japanese.

    In a language without number words here, the digits stay.
    """
    if not can_spell(language):
        return " ".join(digits)
    if language in ("zh", "ja"):
        return "".join(_CHINESE[int(digit)] for digit in digits)
    words = {
        digit: _HINDI[int(digit)] if language == "hi" else num2words(int(digit), lang=language) for digit in digits
    }
    return " ".join(words[digit] for digit in digits)


def year(digits: str, language: str) -> str:
    """Spell four digits as a year, "nineteen seventy-eight".

    Chinese reads a year digit by digit. Languages that read years like other numbers get the cardinal.
    """
    number = int(digits)
    if language == "hi" and 1100 <= number < 2000:
        return f"{hindi(number // 100)} सौ {hindi(number % 100)}" if number % 100 else f"{hindi(number // 100)} सौ"
    if language in ("en", "de", "nl"):
        return num2words(number, lang=language, to="year")
    return one_by_one(digits, language) if language == "zh" else cardinal(digits, language)


def ordinal(digits: str, language: str) -> str:
    """Spell an ordinal, or the cardinal if num2words has no ordinal."""
    if language == "cs":
        return czech_ordinal(int(digits), genitive=False)
    if not can_spell(language):
        return cardinal(digits, language)
    try:
        return num2words(int(digits), lang=language, ordinal=True)
    except FAILS:
        return cardinal(digits, language)


def hindi(number: int) -> str:
    """Spell a whole number below 10^14 in Hindi words, by crore, lakh, thousand and hundred.

    Raises:
        OverflowError: the number is 10^14 or larger.
    """
    if number >= _HINDI_LARGEST:
        raise OverflowError(number)
    if number < 100:
        return _HINDI[number]
    power, name = next(pair for pair in _HINDI_POWERS if number >= pair[0])
    count, rest = divmod(number, power)
    return " ".join([hindi(count), name, *([hindi(rest)] if rest else [])])


def czech_ordinal(number: int, genitive: bool) -> str:
    """Spell a masculine Czech ordinal: the last two digits as an ordinal, the digits before them as a cardinal.

    Args:
        genitive: use the genitive, as in a date, "desátého ledna".
    """
    rest = number % 100
    if number >= 100 and rest == 0:
        words = {100: ["stý"], 1000: ["tisící"]}.get(number, [num2words(number, lang="cs")])
    elif rest < 20:
        words = [_CZECH[rest]]
    else:
        words = [_CZECH[rest // 10 + 18], *([_CZECH[rest % 10]] if rest % 10 else [])]
    if genitive:
        words = [re.sub("í$", "ího", re.sub("ý$", "ého", word)) for word in words]
    before = [num2words(number - rest, lang="cs")] if number > 100 and rest else []
    return " ".join([*before, *words])


def by_hand(text: str, language: str) -> str:
    """Replace the numbers that the stock cleaners cannot spell with words.

    Such an ordinal becomes the cardinal with the ordinal's ending. A number that is too long is spelt digit by digit.
    """

    def ordinal(found: re.Match) -> str:
        if _spellable(found.group(), language):
            return found.group()
        return cardinal(found[1], language) + found.group()[len(found[1]) :].removesuffix(".")

    def number(found: re.Match) -> str:
        if _spellable(found.group(), language):
            return found.group()
        return " ".join(cardinal(part, language) for part in re.split(r"\D", found.group()))

    if language in _ordinal_re:
        text = _ordinal_re[language].sub(ordinal, text)
    return _NUMBER.sub(number, text)


def no_digits(text: str, language: str) -> str:
    """Spell every digit of the text by itself, as the last resort."""
    groups = (("".join(group), is_digit) for is_digit, group in groupby(text, str.isdecimal))
    return "".join(one_by_one(part, language) if is_digit else part for part, is_digit in groups)


def _spellable(number: str, language: str) -> bool:
    try:
        expand_numbers_multilingual(number, language)
    except FAILS:
        return False
    return True
