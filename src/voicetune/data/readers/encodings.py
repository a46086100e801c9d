"""Reads text files in the encodings that recordings of other people come with. UTF-8 is the rule.

Nothing in a file says that it is cp1250 or Latin-2, and a guess from the bytes alone is often wrong: charset-normalizer
3.5 takes Czech in Latin-2 for cp1250. So the source's language helps. Of the encodings that were usual for it, only
those count in which every character is one that the language writes. If these disagree about the text, as Russian
encodings may, charset-normalizer has to find that one of them is less messy than the others. If nothing is sure, no
text is read.
"""

import functools
import string
import unicodedata
from pathlib import Path

from voicetune import files
from voicetune.errors import UserError

_WEST, _CENTRAL = ("cp1252", "iso8859_15"), ("cp1250", "iso8859_2")
_USUAL: dict[str, tuple[tuple[str, ...], str]] = {
    "en": (_WEST, ""),
    "es": (_WEST, "ñ"),
    "fr": (_WEST, "àæèêïùûÿœ"),
    "de": (_WEST, ""),
    "it": (_WEST, "àèìòù"),
    "pt": (_WEST, "ãàêõ"),
    "nl": (_WEST, "èêï"),
    "pl": (_CENTRAL, "ąćęłńśźż"),
    "cs": (_CENTRAL, "čďěňřšťůž"),
    "hu": (_CENTRAL, "őű"),
    "tr": (("cp1254",), "ğışû"),
    "ru": (("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic"), "абвгдежзийклмнопрстуфхцчшщъыьэюяё"),
    "ar": (("cp1256", "iso8859_6"), ""),
    "ja": (("cp932", "euc_jp"), ""),
    "ko": (("cp949",), ""),
    "zh-cn": (("gb18030", "big5"), ""),
    "hi": ((), ""),
}
"""The encodings of a language before UTF-8, and its small letters beyond ASCII and _SHARED."""
_SHARED = set("áâäçéëíîóôöúüýß")  # the same bytes in the Latin encodings above, so they never decide
_SIGNS = set("«»„“”‘’…–—·§°№€¿¡\u00a0")
_SCRIPTS = {"ar": ("ARABIC",), "ja": ("CJK", "HIRAGANA", "KATAKANA"), "ko": ("HANGUL", "CJK"), "zh-cn": ("CJK",)}
_WIDE = ("FULLWIDTH", "IDEOGRAPHIC", "LEFT CORNER", "RIGHT CORNER", "MIDDLE DOT")
_FIRST = 1 << 12  # bytes


def read_text(path: Path, remedy: str, language: str, each: bool = False) -> str:
    """Read a whole text: UTF-8 or UTF-16, with or without byte order mark, or an older encoding of the language.

    It prints the encoding if that is not UTF-8.

    Args:
        remedy: what to do if there is no such file, without its full stop.
        each: the text belongs to one clip, so the encoding is printed once for all such files of a folder.

    Raises:
        UserError: see `files.read_bytes`; or the file has NULs, or its encoding is not sure.
    """
    data = files.read_bytes(path, remedy)
    try:
        text, encoding = _decode(data, language)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        known = " or ".join(_USUAL[language][0][:2]) or "ENCODING"
        raise UserError(
            f"{path}, line {line} is not UTF-8, and its encoding is not sure; convert the file, for example with "
            f"`iconv -f {known.split()[0]} -t UTF-8`, and look at the letters."
        ) from None
    if "\0" in text:
        raise UserError(f"{path} has NUL bytes, so it is no text or damaged; save it again in the encoding UTF-8.")
    if encoding != "UTF-8":
        _tell(f"the texts in {path.parent} are" if each else f"{path} is", encoding)
    return files.one_line_end(text)


def first_line(path: Path) -> str:
    """The first line of a text that is not empty, to see its form; empty if there is none. Only ASCII is sure."""
    if not files.is_file(path):
        return ""
    try:
        with path.open("rb") as file:
            data = file.read(_FIRST)
    except OSError:
        return ""
    text = data.decode(_utf_16(data[: len(data) // 2 * 2]) or "utf-8-sig", errors="replace")
    return next((line.strip() for line in files.one_line_end(text).split("\n") if line.strip()), "")


@functools.cache
def _tell(what: str, encoding: str) -> None:
    print(f"{what} read as {encoding}, and not as UTF-8")


def _decode(data: bytes, language: str) -> tuple[str, str]:
    """Decode a text.

    Returns:
        the text without its byte order mark, and the name of the encoding.

    Raises:
        UnicodeDecodeError: it is not UTF-8, and no other encoding is sure.
    """
    if encoding := _utf_16(data):
        return data.decode(encoding).removeprefix("\ufeff"), "UTF-16"
    try:
        return data.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        found = {encoding: text for encoding in _USUAL[language][0] if (text := _decode_as(data, encoding, language))}
        encoding = _least_messy(data, list(found)) if len(set(found.values())) > 1 else next(iter(found), None)
        if encoding is None:
            raise
        return found[encoding], encoding


def _utf_16(data: bytes) -> str:
    """The name of the UTF-16 that a text is in; empty if it is not. Without a byte order mark, it is one of those in
    which the text is mostly ASCII, or has lines and a tenth of ASCII, because lists have ids."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for encoding in ("utf-16-le", "utf-16-be") if b"\0" in data else ():
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        plain = sum(one in string.printable for one in text)
        if "\0" not in text and plain * (10 if "\n" in text else 2) >= len(text):
            return encoding
    return ""


def _decode_as(data: bytes, encoding: str, language: str) -> str:
    """A text in an encoding; empty if it is not in it, or has a character that the language does not write."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return ""
    letters = {one for one in text if not one.isascii() and _is_letter(one, language)}
    strange = set(text) - letters - _SIGNS - set(string.printable)
    return "" if strange or (not letters and language != "en") else text


def _is_letter(one: str, language: str) -> bool:
    if language in _SCRIPTS:
        return unicodedata.name(one, "").startswith(_SCRIPTS[language] + _WIDE)
    own = set(_USUAL[language][1]) | (set() if language == "ru" else _SHARED)
    return one.lower() in own or one in ("İ" if language == "tr" else "")


def _least_messy(data: bytes, encodings: list[str]) -> str | None:
    """The encoding in which charset-normalizer finds the text less messy than in the others; None if there is none."""
    from charset_normalizer import from_bytes  # only needed for these few files

    found = sorted(from_bytes(data, cp_isolation=encodings, threshold=1.0), key=lambda one: one.chaos)
    known = [one for one in found if one.encoding in encodings]
    sure = known and (len(known) == 1 or known[0].chaos < known[1].chaos)
    return known[0].encoding if sure else None
