"""Writes a text as it is spoken, for training, for the text that a model is to say, and for measuring its speech.

This is mostly `TTS.tts.layers.xtts.tokenizer.multilingual_cleaners`, with which the published model was trained: lower
case, with numbers, abbreviations and symbols in words. docs/languages.md lists the intended differences.
"""

import functools
import re
import unicodedata

from TTS.tts.layers.xtts import tokenizer as stock
from TTS.tts.layers.xtts import zh_num2words

from voicetune.errors import UserError
from voicetune.text.numerals import FAILS, by_hand, can_spell, cardinal, czech_ordinal, no_digits, one_by_one
from voicetune.text.ordinals import GERMAN_OPENER
from voicetune.text.written_numbers import STOPPED, joined, readable

_MARK = "\ue000"  # private use: hides a full stop from the stock cleaners, which read "5." as an ordinal
_LONG = re.compile(r"\d[\d.,]{24,}\d")  # longer than any amount; the stock cleaners take minutes for 5,000 digits
_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])")
_NAME = 40  # characters to search back for a name; a longer search takes minutes on a long text
_CLOSING = "\"'”’“»)\\]"
_CZECH_MONTHS = "led|únor|břez|dub|květ|červ|srp|září|říj|listopad|prosin"
_HUNGARIAN_MONTHS = "jan|feb|már|ápr|máj|jún|júl|aug|szept|okt|nov|dec"
_EURO = {
    "en": "euros", "de": "euro", "fr": "euros", "es": "euros", "it": "euro", "pt": "euros", "pl": "euro",
    "zh": "欧元", "ar": "يورو", "cs": "eur", "ru": "евро", "nl": "euro", "tr": "euro", "ja": "ユーロ",
    "hu": "euró", "ko": "유로", "hi": "यूरो",
}  # fmt: skip
_JAPANESE = {
    "%": "パーセント",
    "％": "パーセント",
    "&": "アンド",
    "@": "アットマーク",
    "°": "度",
    "℃": "度",
    "#": "シャープ",
}


_DOTLESS = ("az", "crh", "tt")  # the small letter of I is ı, and that of İ is i
_SERBIAN = {"lj": "љ", "nj": "њ", "dž": "џ"} | dict(
    zip("abvgdđežzijklmnoprstćufhcčš", "абвгдђежзијклмнопрстћуфхцчш", strict=True)
)  # Vuk Karadžić's alphabet and Gaj's; the pairs of letters come first


class Unreadable(UserError):
    """A text that neither the stock cleaners nor this package can spell out."""


def spell_out(text: str, language: str) -> str:
    """Write the text as it is spoken, in the language's own script.

    Applying it to its own result changes nothing.

    Args:
        language: XTTS's code, such as `hu`, with or without a region; or another language's, see `_in_other_language`.
    """
    language, written = language.split("-")[0], text.lower()
    if language not in _EURO:
        return _in_other_language(text, language)
    text = joined(plain_digits(unicodedata.normalize("NFC", text).strip()), language)
    text = _LONG.sub(lambda run: f"{one_by_one(re.sub('[.,]', '', run.group()), language)} ", text)
    text = readable(text, language)
    own = {"hi": _hindi, "ja": _japanese, "zh": _chinese, "cs": _czech, "hu": _hungarian, "tr": _turkish,
           "ko": _without_commas, "ar": _without_commas}.get(language)  # fmt: skip
    text = own(text) if own else text
    if language != "ja":  # the stock tokenizer does not clean Japanese
        text = _zeros(_hide_numbers(text, language), language)
        text = _cleaned(_hide_letters(text, language), language)
    if language == "en" and "sterling" not in written:
        text = text.replace(" sterling", "")  # num2words adds it to every £
    text = text.replace(_MARK, "").replace("€", f" {_EURO[language]} ")
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _in_other_language(text: str, language: str) -> str:
    """Write a text of a language that the stock cleaners do not know: small letters, and each whole number in words.

    Numbers stay if num2words does not know the language. "12,5" is read as two numbers, and signs such as % stay.
    Serbian is written in two alphabets. Its numbers get the one of the text.
    """
    text = plain_digits(unicodedata.normalize("NFC", text)).replace('"', "")
    cyrillic = language == "sr" and re.search("[А-џ]", text)
    text = re.sub(r"\d+", lambda found: _in_alphabet(cardinal(found.group(), language), bool(cyrillic)), text)
    if language in _DOTLESS:
        text = text.replace("I", "ı").replace("İ", "i")
    return unicodedata.normalize("NFC", " ".join(text.lower().split()))


def _in_alphabet(words: str, cyrillic: bool) -> str:
    """num2words writes Serbian in Latin letters."""
    return re.sub("|".join(_SERBIAN), lambda found: _SERBIAN[found.group()], words) if cyrillic else words


def can_spell_numbers(language: str) -> bool:
    """Whether `spell_out` writes the numbers of this language in words."""
    return can_spell(language.split("-")[0])


def romanise(text: str, language: str) -> str:
    """Convert a spelt-out text to the alphabet that the model reads: pinyin, romaji or romanised Hangul.

    A text in another language stays as it is. Japanese characters that cutlet does not know become `?`.

    Raises:
        UserError: a package that this needs is not installed.
    """
    language = language.split("-")[0]
    try:
        if language == "zh":
            return stock.chinese_transliterate(text)
        if language == "ja":
            return stock.japanese_cleaners(text, _japanese_reader())
    except ImportError as error:
        raise UserError(f"{error.msg.rstrip('.')}; run `make` again, which installs what is missing.") from None
    return stock.hangul_romanize(text) if language == "ko" else text


@functools.cache
def _japanese_reader():
    return stock.VoiceBpeTokenizer().katsu


def plain_digits(text: str) -> str:
    """Convert digits of every script, such as ५ and ٥, to ASCII."""
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def _cleaned(text: str, language: str) -> str:
    """Apply the stock cleaners. Where they fail, spell the numbers by hand first, and if that fails every digit."""
    for prepared in (lambda: text, lambda: by_hand(text, language), lambda: no_digits(text, language)):
        try:
            return stock.multilingual_cleaners(prepared(), language).lower()  # num2words adds German "Komma", "Euro"
        except FAILS:
            continue
    raise Unreadable(f"the text '{text[:60]}' cannot be read in '{language}'; change it.")


def _hide_numbers(text: str, language: str) -> str:
    """Hide the full stop that ends a sentence after a number. The stock cleaners would read the number as an ordinal.

    It ends a sentence at the end of the text, before a closing quote, in an ellipsis and, after four digits or more,
    before a capital. For example, a year can end a sentence, while "100. Besucher" is an ordinal. In German, it also
    ends one before words such as "Es" and "Dann".
    """
    if language not in stock._ordinal_re or not stock._ordinal_re[language].fullmatch("1."):
        return text
    text = re.sub(rf"(\d)\.(?=[{_CLOSING}]|\s*$|\.)", rf"\1{_MARK}.", text)

    def ends(found: re.Match) -> str:
        return f"{found[1]}{_MARK}.{found[2]}" if found[2].strip()[0].isupper() else found.group()

    if language == "de":
        text = re.sub(rf"(\d)\.(?={GERMAN_OPENER})", rf"\1{_MARK}.", text)
    return re.sub(r"(?<![\d.,])(\d{4,})\.(\s+\w)", ends, text)


def _zeros(text: str, language: str) -> str:
    """Spell 007 digit by digit. The stock cleaners would say 7. Times, dates and ordinals stay as they are."""
    stop = r"|\." if language in STOPPED else ""

    def number(found: re.Match) -> str:
        return one_by_one(found[1], language) if found[1] else found.group()

    return re.sub(rf"\d{{4}}-\d\d-\d\d|(?<![\w.,:/])(0\d+)(?!\w|[.,:/]\d{stop})", number, text)


def _hide_letters(text: str, language: str) -> str:
    """Hide the full stop of a single letter that the stock cleaners would misread as a title ("B." as Turkish "bay").

    A letter is a title if a capitalised word follows it and no other initial precedes it. In Hungarian, it is a title
    if it is lower case and stands after a name and before more text.
    """
    titles = [known for known, _ in stock._abbreviations.get(language, ())]

    def hidden(found: re.Match) -> str:
        letter, before, after = found[1], text[: found.start()], text[found.end() :]
        if not any(known.fullmatch(f"{letter}.") for known in titles) or _is_title(letter, before, after, language):
            return found.group()
        return f"{letter}{_MARK}."

    return re.sub(r"(?<!\w)([^\W\d_])\.", hidden, text)


def _is_title(letter: str, before: str, after: str, language: str) -> bool:
    if language == "hu":
        name = re.search(r"(\w)\w+ $", before[-_NAME:])
        return letter.islower() and name is not None and name[1].isupper() and bool(after.strip(_CLOSING + ".!? "))
    if re.search(r"\d\s?$", before[-2:]):
        return False  # a unit: 20 m.
    follows = re.match(r"\s+(\w)\w", after)
    return follows is not None and follows[1].isupper() and re.search(r"(?<!\w)\w\.\s*$", before) is None


def _hungarian(text: str) -> str:
    """Remove the full stop between a year and its month, because the year is no ordinal."""
    return re.sub(rf"(?<!\d)(\d{{4}})\.(?=\s+(?:(?:{_HUNGARIAN_MONTHS})|\d{{1,2}}\b))", r"\1", text, flags=re.I)


def _turkish(text: str) -> str:
    """Write a time, 14.30, as two numbers, because it is no ordinal, and lower I to ı where it is Turkish.

    I becomes ı in a text of capitals, except in Roman numerals, and in words with ı, ş or ğ.
    """
    if text.upper() == text:
        text = re.sub(r"(?<!\w)(?![IVXLC]+\b)\w+", lambda word: word[0].replace("I", "ı"), text)
    text = re.sub(r"\w+", lambda word: word[0].replace("I", "ı") if set(word[0]) & set("ışğŞĞ") else word[0], text)
    return re.sub(r"(?<![\d.])(\d{1,2})\.0?(\d{1,2})(?![\d.]*\d)", r"\1 \2", text)


def _czech(text: str) -> str:
    """Write ordinals in words, because num2words lacks them. Before a month or a year, use the genitive."""

    def ordinal(found: re.Match) -> str:
        month = re.match(rf"\s+(?:{_CZECH_MONTHS}|\d+\.|\d{{4}}\b)", text[found.end() :], re.I) is not None
        return czech_ordinal(int(found[1]), month)

    hidden = _hide_numbers(text, "cs")
    return re.sub(r"(?<![\d.,])(\d{1,6})\.(?=\s)", ordinal, hidden) if hidden == text else _czech(hidden)


def _hindi(text: str) -> str:
    """Write numbers, which num2words lacks in Hindi, in words."""

    def number(found: re.Match) -> str:
        whole, point, part = found.group().replace(",", "").partition(".")
        return cardinal(whole, "hi") + (f" दशमलव {one_by_one(part, 'hi')}" if point else "")

    return re.sub(r"\d+(?:,\d+)*(?:\.\d+)?", number, text)


def _japanese(text: str) -> str:
    """Write numbers in kanji and symbols in kana, because the published vocabularies lack most digits."""

    def number(found: re.Match) -> str:
        whole, point, part = found.group().replace(",", "").partition(".")
        return cardinal(whole, "ja") + (f"点{one_by_one(part, 'ja')}" if point else "")

    text = re.sub(r"\d+(?:,\d{3})*(?:\.\d+)?", number, text)
    for symbol, word in _JAPANESE.items():
        text = text.replace(symbol, word)
    return text


def _chinese(text: str) -> str:
    """Write numbers with commas in words, because the stock cleaners lose digits; also the minus, which they drop."""
    text = _GROUPS.sub(lambda found: zh_num2words.num2chn(found.group().replace(",", "")), text)
    return re.sub(r"(?<![A-Za-z0-9.])[-−](?=\d)", "负", text)


def _without_commas(text: str) -> str:
    """Write 12,000 as 12000, because the stock cleaners read the comma as a decimal point."""
    return _GROUPS.sub(lambda found: found.group().replace(",", ""), text)
