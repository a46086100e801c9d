"""Spells ordinals with the ending of their case and gender, where the written text shows it.

The stock cleaners have one form of each ordinal, the masculine nominative.
"""

import re
from collections.abc import Callable

from voicetune.text.numerals import ordinal

_OPENERS = "Es|Ich|Er|Sie|Wir|Ihr|Dann|Danach|Das|Die|Der|Aber|Und|Da|Doch|Jetzt|Nun|Was|Wie|Wo|Warum|Wer"
GERMAN_OPENER = rf"\s+(?:{_OPENERS})\b"  # begins a sentence and is no noun, so a number before it is no ordinal
_GERMAN = r"\b(am|vom|zum|beim|im|dem|den)\s+(\d{1,3})\.(?=\s+[^\W\d_])"
_RUSSIAN_MONTHS = "января|февраля|марта|апреля|мая|июня|июля|августа|сентября|октября|ноября|декабря"
_RUSSIAN_ENDINGS = {
    "я": "ая", "ая": "ая", "ое": "ое", "е": "ое", "го": "ого", "ого": "ого", "му": "ому", "ому": "ому", "м": "ом",
    "х": "ых", "ых": "ых", "ю": "ую", "ую": "ую",
}  # fmt: skip
_THIRD = {"ая": "ья", "ое": "ье", "ого": "ьего", "ому": "ьему", "ом": "ьем", "ых": "ьих", "ую": "ью", "ые": "ьи"}
_POLISH_MONTHS = "stycznia|lutego|marca|kwietnia|maja|czerwca|lipca|sierpnia|września|października|listopada|grudnia"
_POLISH_WORDS = """
pierwszego drugiego trzeciego czwartego piątego szóstego siódmego ósmego dziewiątego dziesiątego jedenastego dwunastego
trzynastego czternastego piętnastego szesnastego siedemnastego osiemnastego dziewiętnastego
"""
_POLISH = _POLISH_WORDS.split()
_POLISH_TENS = {2: "dwudziestego", 3: "trzydziestego"}


def decline(text: str, language: str) -> str:
    """Spell ordinals that the language writes as a number with an ending, or as a number before a month.

    Call this before Unicode's compatibility form (NFKC), which turns ª into "a".
    """
    by_language: dict[str, Callable[[str], str]] = {
        "de": _german, "es": lambda text: _romance(_spanish(text), "es"), "pt": lambda text: _romance(text, "pt"),
        "it": lambda text: _romance(text, "it"), "fr": _french, "ru": _russian, "pl": _polish, "hu": _hungarian,
    }  # fmt: skip
    return by_language[language](text) if language in by_language else text


def _german(text: str) -> str:
    """Spell "am 3. Mai" with "dritten", and ordinals before a comma, as in "der 1., 2. und 3. Platz".

    The stock cleaners do not recognise an ordinal before a comma.
    """

    def dative(found: re.Match) -> str:
        stop = "." if re.match(GERMAN_OPENER, text[found.end() :]) else ""
        return f"{found[1]} {ordinal(found[2], 'de')}n{stop}"

    listed = re.sub(_GERMAN, dative, text, flags=re.I)
    return re.sub(r"(?<![\w.,])(\d{1,3})\.(?=[,;])", lambda found: ordinal(found[1], "de"), listed)


def _romance(text: str, language: str) -> str:
    """Spell 2.ª and 2ª in the feminine, and write 1.º as 1º."""
    text = re.sub(r"(\d)\.?º", r"\1º", text)
    return re.sub(r"(\d+)\.?ª", lambda found: re.sub(r"o\b", "a", ordinal(found[1], language)), text)


def _spanish(text: str) -> str:
    return re.sub(r"(?<!\d)([13])er\b", lambda found: {"1": "primer", "3": "tercer"}[found[1]], text)


def _french(text: str) -> str:
    """Spell 1re and 1ère, 2nd and 2nde."""
    text = re.sub(r"(?<!\d)1(?:re|ère)(s?)\b", r"première\1", text)
    return re.sub(r"(?<!\d)2nd(e?s?)\b", r"second\1", text)


def _russian(text: str) -> str:
    """Spell 2-я, 5-го and в 1990-х. 80-е годы is a plural. A number before a month is an ordinal in the genitive."""
    text = re.sub(rf"(?<![\w.,:/–-])(?<!по )(\d{{1,2}})(?=\s+(?:{_RUSSIAN_MONTHS})\b)", r"\1-го", text, flags=re.I)

    def declined(found: re.Match) -> str:
        plural = found[2] == "е" and re.match(r"\s+г(?:оды|г)\b", text[found.end() :])
        word, ending = ordinal(found[1], "ru"), "ые" if plural else _RUSSIAN_ENDINGS[found[2]]
        return word[:-2] + _THIRD[ending] if word.endswith("третий") else word[:-2] + ending

    return re.sub(rf"(?<![\w.,])(\d{{1,4}})-({'|'.join(_RUSSIAN_ENDINGS)})(?!\w)", declined, text)


def _polish(text: str) -> str:
    """Spell the day before a month in the genitive: 5 maja becomes "piątego maja"."""

    def genitive(found: re.Match) -> str:
        tens, ones = divmod(int(found[1]), 10)
        if not 1 <= int(found[1]) <= 31:
            return found.group()
        if tens < 2:
            return _POLISH[int(found[1]) - 1]
        return " ".join([_POLISH_TENS[tens], *([_POLISH[ones - 1]] if ones else [])])

    return re.sub(rf"(?<![\w.,:/–-])(\d{{1,2}})(?=\s+(?:{_POLISH_MONTHS})\b)", genitive, text, flags=re.I)


def _hungarian(text: str) -> str:
    """Spell a day of the month: 15-én becomes "tizenötödikén", 1-jén becomes "elsején"."""
    text = re.sub(r"(?<!\d)1-j?én\b", "elsején", text)
    return re.sub(r"(?<![\w.,])(\d{1,2})-([áé]n)\b", lambda found: ordinal(found[1], "hu") + found[2], text)
