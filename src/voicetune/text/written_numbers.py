"""Rewrites numbers as people write them so that the stock cleaners can read them: groups, amounts, times, dates."""

import re

from voicetune.text.numerals import ordinal
from voicetune.text.short_forms import in_words

STOPPED = ("de", "cs", "tr", "hu")  # languages that write an ordinal with a full stop
_FIXED = "\u00a0\u2009\u202f"  # no-break space, thin space, narrow no-break space
_GROUPED = re.compile(rf"(?<![\w.,])[1-9]\d{{0,2}}(?:[{_FIXED}]\d{{3}})+(?!\d)")
# Digits with plain spaces may be a telephone number. So these join them only before decimals or a currency, or if they
# end in 000, as in 1 250 000.
_SPACED = re.compile(r"(?<![\w.,])[1-9]\d{0,2}(?: \d{3})+(?=,\d{1,2}(?!\d)|\s?[€$£])")
_THOUSANDS = re.compile(r"(?<![\w.,])\d{1,3}(?:\s\d{3})*\s000(?!\w)")
_NUMERO = {"fr": "numéro", "es": "número", "it": "numero", "pt": "número"}
_ARABIC = str.maketrans("٪٫٬", "%.,")
_AMOUNTS = {  # the sign is written before or after the number, its word is spoken after it
    "hi": {"₹": "रुपये", "€": "यूरो", "$": "डॉलर", "£": "पाउंड"},
    "ja": {"¥": "円", "￥": "円", "€": "ユーロ", "$": "ドル", "£": "ポンド"},
    "zh": {"¥": "元", "￥": "元", "€": "欧元", "$": "美元", "£": "英镑"},
    "ko": {"₩": "원", "€": " 유로", "$": "달러", "£": "파운드"},
    "ar": {"€": "يورو", "$": "دولار", "£": "جنيه"},  # num2words calls each currency a riyal
    "hu": {"€": "euró", "$": "dollár", "£": "font"},  # num2words has only their English names
}
_APART = ("hi", "ar", "hu")  # the currency's word is separated by a space
_HOURS: dict[str, tuple[str, dict[int, str], str, bool]] = {
    "fr": (
        "heure",
        {1: "une", 21: "vingt et une", 31: "trente et une", 41: "quarante et une", 51: "cinquante et une"},
        " ",
        True,
    ),
    "pt": ("hora", {1: "uma", 2: "duas", 21: "vinte e uma", 22: "vinte e duas"}, " e ", False),
}
_REAIS = re.compile(r"R\$\s?(\d{1,3}(?:\.\d{3})+|\d+)(?:,(\d{1,2})(?!\d))?(\s(?:mil|milhão|milhões|bilhão|bilhões)\b)?")


def joined(text: str, language: str) -> str:
    """Join groups of digits into one number, and write "n.º 5" and other short forms in words.

    Call this before Unicode's compatibility form (NFKC), which turns every kind of space into a plain one, and º into
    "o".
    """
    for groups in (_GROUPED, _SPACED, _THOUSANDS):
        text = groups.sub(lambda number: re.sub(r"\s", "", number.group()), text)
    if language in _NUMERO:
        text = re.sub(r"(?<!\w)n\.?[°º]\s*(?=\d)", f"{_NUMERO[language]} ", text, flags=re.I)
    return in_words(text, language)


def readable(text: str, language: str) -> str:
    """Rewrite amounts, temperatures, times and dates so that the stock cleaners do not misread them.

    Args:
        text: with ASCII digits.
    """
    text = text.translate(_ARABIC) if language == "ar" else text
    text = _REAIS.sub(_reais, text) if language == "pt" else text
    text = re.sub(r"(\d)\s+(?=[€$£](?!\s?\d))", r"\1", text)  # the stock cleaners read no amount with a space in it
    text = re.sub(r"(?<!\d)([€$£])\s+(?=\d)", r"\1", text)
    text = re.sub(r"(\d)°(?=\s?[CF]\b)", r"\1 °", text)  # 20° is an ordinal in Italian
    text = _times(text, language) if language in _HOURS else text
    return _dates(_amounts(text, language), language)


def _amounts(text: str, language: str) -> str:
    space = " " if language in _APART else ""
    power = r"(\s(?:लाख|करोड़|हज़ार|अरब)(?!\w))?" if language == "hi" else "()"
    for sign, word in _AMOUNTS.get(language, {}).items():
        number = r"(\d+(?:,\d+)*(?:\.\d+)?)"
        text = re.sub(rf"{re.escape(sign)}\s*{number}{power}", rf"\1\2{space}{word}", text)
        text = re.sub(rf"{number}\s*{re.escape(sign)}", rf"\1{space}{word}", text)
    return text


def _reais(found: re.Match) -> str:
    """Write R$ 5,50 as 5 reais e 50 centavos. num2words has no real in "pt", the Portuguese of the stock cleaners."""
    whole, cents, power = found[1].replace(".", ""), found[2] or "00", found[3] or ""
    if power:
        whole += f",{found[2]}" if found[2] else ""
        return f"{whole}{power} {'reais' if power.strip() == 'mil' else 'de reais'}"
    millions = int(whole) > 0 and int(whole) % 10**6 == 0
    words = f"{whole} {'real' if int(whole) == 1 else 'de reais' if millions else 'reais'}"
    if int(cents):
        words += f" e {int(cents)} {'centavo' if int(cents) == 1 else 'centavos'}"
    return words


def _times(text: str, language: str) -> str:
    """Write 18h30 as 18 heures 30, in Portuguese 18 horas e 30. Hours, and French minutes, are feminine."""
    hour_word, feminine, between, minutes_too = _HOURS[language]

    def time(found: re.Match) -> str:
        hour, minute = int(found[1]), int(found[2] or 0)
        if hour > 24 or minute > 59:
            return found.group()
        words = f"{feminine.get(hour, hour)} {hour_word}{'s' if hour > 1 else ''}"
        return words + (f"{between}{feminine.get(minute, minute) if minutes_too else minute}" if minute else "")

    return re.sub(r"(?<![\w.,:])(\d{1,2})\s?h(?:\s?(\d\d))?(?:\s?min)?(?!\w)", time, text, flags=re.I)


def _dates(text: str, language: str) -> str:
    """Write 24.12.2023 and 2023.12.24 as three numbers. The stock cleaners would read them as decimals."""
    if language in ("zh", "ja"):
        return text
    between = ". " if language in STOPPED and language != "tr" else " "  # Turkish days are cardinals

    def numbers(found: re.Match) -> str:
        return between.join(str(int(number)) for number in found.groups())

    text = re.sub(r"(?<![\d.])(\d{1,2})\.(\d{1,2})\.(\d{4})(?!\d)", numbers, text)
    text = re.sub(r"(?<![\d.])(\d{4})\.(\d{1,2})\.(\d{1,2})(?!\d)", numbers, text)
    return _german_days(text) if language == "de" else text


def _german_days(text: str) -> str:
    """Write a date without a year, "am 1.5.", in words: in the nominative after "der", otherwise with -n."""

    def day(found: re.Match) -> str:
        before, day, month, after = found.groups()
        if not (1 <= int(day) <= 31 and 1 <= int(month) <= 12):
            return found.group()
        ending = "" if before.lower() == "der" else "n"
        words = " ".join(f"{ordinal(str(int(number)), 'de')}{ending}" for number in (day, month))
        return f"{before} {words}" + ("." if after is not None else "")

    return re.sub(
        r"\b(am|vom|zum|bis|ab|seit|dem|den|der)\s+(\d{1,2})\.\s?(\d{1,2})\.(?!\s?\d(?!\d{3}(?!\d)))(\s*$)?",
        day,
        text,
        flags=re.I,
    )
