"""Writes signs, units and short forms in words where the stock cleaners would lose or misread them."""

import re

from voicetune.text.numerals import czech_ordinal, one_by_one, year
from voicetune.text.ordinals import decline

_SIGNS = {  # minus and plus
    "en": ("minus", "plus"), "de": ("minus", "plus"), "fr": ("moins", "plus"), "es": ("menos", "más"),
    "it": ("meno", "più"), "pt": ("menos", "mais"), "nl": ("min", "plus"), "pl": ("minus", "plus"),
    "cs": ("minus", "plus"), "ru": ("минус", "плюс"), "tr": ("eksi", "artı"), "hu": ("mínusz", "plusz"),
    "ko": ("마이너스", "플러스"), "hi": ("माइनस", "प्लस"),
}  # fmt: skip
_DEGREES = "°|grad|degr|grau|stopni|stup|градус|derece|fok|도|डिग्री"
_MINUS = re.compile(rf"(?<![\d.)%°]\s)(?<!\S)(?:−(?=\d)|(?<!^)-(?=\d)|-(?=\d+(?:[.,]\d+)?\s?(?:{_DEGREES})))", re.I)
_PARTS = {  # ½ alone, ½ after a number, the word before ¼ and ¾ after a number, ¼, ¾
    "en": ("a half", "and a half", "and", "a quarter", "three quarters"),
    "de": ("ein halb", "einhalb", "", "ein viertel", "drei viertel"),
    "fr": ("un demi", "et demi", "et", "un quart", "trois quarts"),
    "es": ("medio", "y medio", "y", "un cuarto", "tres cuartos"),
    "it": ("mezzo", "e mezzo", "e", "un quarto", "tre quarti"),
    "pt": ("meio", "e meio", "e", "um quarto", "três quartos"),
    "nl": ("een half", "en een half", "en", "een kwart", "driekwart"),
    "pl": ("pół", "i pół", "i", "ćwierć", "trzy czwarte"),
    "cs": ("půl", "a půl", "a", "čtvrt", "tři čtvrtě"),
    "ru": ("половина", "с половиной", "и", "четверть", "три четверти"),
    "tr": ("yarım", "buçuk", "", "çeyrek", "üç çeyrek"),
    "hu": ("fél", "és fél", "és", "negyed", "háromnegyed"),
}
_POWERS = {  # number words, and the word between them and the currency
    "en": ("thousand|million|billion|trillion", ""),
    "de": (r"Million(?:en)?|Milliarden?|Mio\.|Mrd\.", ""),
    "nl": ("miljoen|miljard", ""),
    "es": ("millón|millones", "de "),
    "pt": ("milhão|milhões|bilhão|bilhões", "de "),
}
_CURRENCIES = {
    "en": {"$": "dollars", "£": "pounds", "€": "euros"},
    "de": {"$": "Dollar", "£": "Pfund", "€": "Euro"},
    "nl": {"$": "dollar", "£": "pond", "€": "euro"},
    "es": {"$": "dólares", "£": "libras", "€": "euros"},
    "pt": {"$": "dólares", "£": "libras", "€": "euros"},
}
_LETTERS = {"k": "thousand", "m": "million", "bn": "billion"}
_CENTS = ("en", "de", "fr", "es", "it", "pt", "nl")
_UNITS = "km|kg|mg|cm|mm|ml|cl|dl|kmh|mph|kW|kWh|GB|MB|TB|Hz|kHz|MHz|GHz|lbs|oz|ft|min|am|pm"
_ENDINGS = {"en": "s", "es": "oa", "pt": "oa", "it": "oaie", "fr": "e", "nl": "e"}  # of ordinals and decades
_YEARS = r"(?<![\w.,-])(1\d{3}|20\d\d)\s?[–-]\s?(1\d{3}|20\d\d)(?![\w-]|[.,]\d)"
_DECADE = (
    r"(?<![\w.,])(?:['’]|(?<=the )|(?<=his )|(?<=her )|(?=\d{4}))((?:1\d|20)?[1-9]0)s\b"  # else "20s" may be seconds
)
_SHORT: dict[str, tuple[tuple[str, str], ...]] = {
    "en": (
        (r"\b(\d{1,2}):00\s?(?=[ap]\.?m\b)", r"\1 "),
        (r"(?<!\S)#(?=\d)", "number "),
        (r"(?<=\w )No\.\s?(?=\d)", "number "),
        (r"(?<=\d)\s?ft\.", " feet"),
        (_YEARS, r"\1 to \2"),
    ),
    "de": ((r"\bNr\.\s?(?=\d)", "Nummer "), (r"(?<!\d)1\s?½", "eineinhalb"), (_YEARS, r"\1 bis \2")),
    "nl": ((r"\b[Nn]r\.\s?(?=\d)", "nummer "), (_YEARS, r"\1 tot \2")),
    "cs": ((r"(?<!\w)[Čč]\.\s?(?=\d)", "číslo "),),
    "ru": ((r"№\s?(?=\d)", "номер "),),
    "fr": ((r"\bMme\b\.?", "madame"), (r"\bMmes\b", "mesdames"), (r"\bMlle\b", "mademoiselle")),
    "it": ((r"\b[Ss]ig\.ra\b", "signora"), (r"\b[Ss]ig\.na\b", "signorina")),
    "hu": ((r"%-(?=[^\W\d_])", " százalék"),),
    "ar": ((r"[%٪]\s?(\d+(?:[.,٫]\d+)?)", r"\1%"),),
    "ja": (
        (r"°C", "度"),
        (r"(?<![\dA-Za-z])[-−](?=\d+(?:\.\d+)?\s?[°度])", "マイナス"),
        (r"(?<!\d)(\d{4})[-/]0?(\d{1,2})[-/]0?(\d{1,2})(?!\d)", r"\1年\2月\3日"),
    ),
    "zh": ((r"°C", "度"), (r"(?<!\d)(\d{4})[-/]0?(\d{1,2})[-/]0?(\d{1,2})(?!\d)", r"\1年\2月\3日")),
    "ko": ((r"\s?°C", "도"), (r"(?<!\d)(\d{4})[-/.]0?(\d{1,2})[-/.]0?(\d{1,2})(?!\d)", r"\1년 \2월 \3일")),
}
_LATIN = ("en", "es", "fr", "de", "it", "pt", "pl", "tr", "nl", "cs", "ru", "hu")  # their units may be Latin letters
_PHONE = re.compile(r"(?<![0-9A-Za-z.,:/-])(?!0\d-(?:\d\d-)?\d{4}(?![\d-]))0\d+(?:-\d+)*-\d{4,}(?![\w-]*\d)")
_FORMS = str.maketrans({"℃": "°C", "℉": "°F"})


def in_words(text: str, language: str) -> str:
    """Write the signs, units and short forms around numbers in words, where only one reading is right.

    Call this before Unicode's compatibility form (NFKC), which turns № into "No" and º into "o".
    """
    text = re.sub(r"(?<=\d)(\s?)º\s?(?=[CF]\b)", r"\1°", text.translate(_FORMS))
    text = _PHONE.sub(lambda found: re.sub(r"\d+", lambda part: one_by_one(part[0], language), found[0]), text)
    text = _currencies(text, language)
    for pattern, words in _SHORT.get(language, ()):
        text = re.sub(pattern, words, text)
    if language == "en":
        text = re.sub(_DECADE, _decade, text)
    if language == "cs":
        text = re.sub(r"(?<![\w.,])(\d{1,3})\.(?=[,;])", lambda found: czech_ordinal(int(found[1]), False), text)
    text = re.sub(r"(\d\s?)?([½¼¾])", lambda found: _part(found, language), text) if language in _PARTS else text
    return _apart(_signs(decline(text, language), language), language)


def _part(found: re.Match, language: str) -> str:
    """Write a fraction in words, alone (½ cup) or after a number (3½ cups)."""
    half, after, between, quarter, three = _PARTS[language]
    fraction = {"½": after if found[1] else half, "¼": quarter, "¾": three}[found[2]]
    words = f"{between} {fraction}" if found[1] and found[2] != "½" else fraction
    return f"{(found[1] or '').strip()} {words} "


def _currencies(text: str, language: str) -> str:
    """Write $1.5 billion as 1.5 billion dollars, and 19,99 Euro as 19,99€, which is spoken in the same way."""
    text = re.sub(r"\bUS\$\s?(?=\d)", "$", text)
    if language in _CENTS:
        text = re.sub(r"(?<=\d[.,]\d\d)\s?euros?\b", "€", text, flags=re.I)
    if language not in _POWERS:
        return text
    powers, between = _POWERS[language]

    def moved(found: re.Match) -> str:
        power = _LETTERS.get(found[3], found[3])
        return f"{found[2]} {power} {between}{_CURRENCIES[language][found[1]]}"

    letters = "|k|m|bn" if language == "en" else ""
    return re.sub(rf"(?<![\w])([$£€])\s?(\d[\d.,]*)\s?({powers}{letters})(?!\w)", moved, text)


def _decade(found: re.Match) -> str:
    """Write a decade in words: 1980s and '80s."""
    decade = year(found[1], "en")
    return decade.removesuffix("y") + ("ies" if decade.endswith("y") else "s")


def _signs(text: str, language: str) -> str:
    """Write the minus before a number, which the stock cleaners drop, and the plus, which no vocabulary has, in words.

    A hyphen at the beginning of a text may mark dialogue, so there it is a minus only before degrees.
    """
    if language not in _SIGNS:
        return text
    minus, plus = _SIGNS[language]
    text = _MINUS.sub(f"{minus} ", text)
    return re.sub(r"(?<!\S)\+\s?(?=\d)", f"{plus} ", text)


def _apart(text: str, language: str) -> str:
    """Put a space between a number and a unit or a single letter (6pm, 12a, Q4), but not before an ordinal's ending."""
    if language not in _LATIN:
        return text
    kept = _ENDINGS.get(language, "")
    letter = rf"(?:(?:{_UNITS})|(?![{kept}_])[a-z])" if kept else rf"(?:(?:{_UNITS})|[a-z])"
    text = re.sub(rf"(?<=\d)(?={letter}(?![^\W\d_]))", " ", text, flags=re.I)
    text = re.sub(r"(?<=\d[.,]\d)(?=s\b)|(?<=\d[.,]\d\d)(?=s\b)", " ", text)
    return re.sub(r"(?<=[A-Za-z])(?=\d)", " ", text)
