"""Reads text files in the encodings that recordings of other people come with. UTF-8 is the rule.

Nothing in a file says that it is cp1250 or Latin-2, and a guess from the bytes alone is often wrong: charset-normalizer
3.5 takes Czech in Latin-2 for cp1250. So the source's language helps. An encoding counts if it was usual
for the language, if it makes of the bytes only characters that the language uses, and if hardly any capital is then
inside a word. If several count and give different texts, as with Russian, charset-normalizer has to find one of them
less messy. If nothing is sure, no text is read. The encodings of old Macs and of DOS are rare, but they have to be
candidates: Škoda as a Mac wrote it would be ákoda in cp1250. One line is too little to decide, so the texts of single
clips are decided together.
"""

import codecs
import itertools
import string
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from voicetune import files
from voicetune.errors import UserError

_WEST = ("cp1252", "iso8859_15", "mac_roman", "cp850")
_CENTRAL = ("cp1250", "iso8859_2", "mac_latin2", "cp852")
_USUAL: dict[str, tuple[tuple[str, ...], str]] = {
    "en": (_WEST, "é"),
    "es": (_WEST, "áéíñóúü"),
    "fr": (_WEST, "àâæçèéêëîïôùûüÿœ"),
    "de": (_WEST, "äöüß"),
    "it": (_WEST, "àèéìíîòóùú"),
    "pt": (_WEST, "àáâãçéêíóôõúü"),
    "nl": (_WEST, "áäçèéêëíïóôöúü"),
    "pl": (_CENTRAL, "ąćęłńóśźż"),
    "cs": (_CENTRAL, "áčďéěíňóřšťúůýž"),
    "hu": (_CENTRAL, "áéíóöőúüű"),
    "tr": (("cp1254", "mac_turkish", "cp857"), "âçğîıöşûü"),
    "ru": (("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic"), "абвгдежзийклмнопрстуфхцчшщъыьэюяё"),
    "ar": (("cp1256", "iso8859_6"), ""),
    "ja": (("cp932", "euc_jp"), ""),
    "ko": (("cp949",), ""),
    "zh": (("gb18030", "big5"), ""),
    "hi": ((), ""),
    "auto": ((), ""),  # a source of long recordings whose languages are not detected yet
}
"""The encodings of a language before UTF-8, and its small letters beyond ASCII."""
_SHARED = set("áâäçéëíîóôöúüýß")  # in all Latin encodings, and in names and loanwords of any language
_SIGNS = set("«»„“”‘’…–—·°€¿¡\u00a0")
_SCRIPTS = {"ar": ("ARABIC",), "ja": ("CJK", "HIRAGANA", "KATAKANA"), "ko": ("HANGUL", "CJK"), "zh": ("CJK",)}
_WIDE = ("FULLWIDTH", "IDEOGRAPHIC", "LEFT CORNER", "RIGHT CORNER", "MIDDLE DOT")
_MIXED = 0.02  # share of letters beyond ASCII that may be capitals within a word; SEPTlÈME is what scanners read
_ENOUGH = 20  # letters beyond ASCII that are enough to see which of two encodings is messy
_FIRST = 1 << 12  # bytes


def read_text(path: Path, remedy: str, language: str) -> str:
    """Read a whole text: UTF-8 or UTF-16, with or without byte order mark, UTF-32 with it, or an older encoding of the
    language.

    It prints the encoding if that is not UTF-8.

    Args:
        remedy: what to do if there is no such file, without its full stop.

    Raises:
        UserError: see `files.read_bytes`; or the file has NULs, or its encoding is not sure.
    """
    data = files.read_bytes(path, remedy)
    encoding = _unicode(data) or _older(data, language)
    text = _decode(path, data, encoding, language)
    if encoding != "utf-8-sig":
        _tell(f"{path} is", encoding)
    return text


def read_texts(paths: Iterable[Path], folder: Path, language: str) -> dict[Path, tuple[str, str]]:
    """Read the texts of the clips of a folder, as `read_text` does. Those in older encodings must be in the same one.

    Returns:
        for each path, the text on one line, and why it cannot be used (empty if it can).
    """
    found: dict[Path, tuple[bytes, str]] = {}
    texts: dict[Path, tuple[str, str]] = {}
    for path in paths:
        try:
            data = files.read_bytes(path, "write the text there")
            found[path] = data, _unicode(data)
        except UserError as error:
            texts[path] = "", f"unreadable text: {error}"
    older = _older(b"\n".join(data for data, encoding in found.values() if not encoding), language)
    for encoding in sorted({encoding or older for _, encoding in found.values()} - {"utf-8-sig", ""}):
        _tell(f"texts in {folder} are", encoding)
    for path, (data, encoding) in found.items():
        try:
            texts[path] = " ".join(_decode(path, data, encoding or older, language).split()), ""
        except UserError as error:
            texts[path] = "", f"unreadable text: {error}"
    return texts


def first_line(path: Path) -> str:
    """The first line of a text that is not empty, to see its form; empty if there is none. Only ASCII is sure."""
    if not files.is_file(path):
        return ""
    try:
        with path.open("rb") as file:
            data = file.read(_FIRST)
    except OSError:
        return ""
    text = data.decode(_wide(data[: len(data) // 4 * 4]) or "utf-8-sig", errors="replace")
    return next((line.strip() for line in files.one_line_end(text).split("\n") if line.strip()), "")


def _tell(what: str, encoding: str) -> None:
    print(f"{what} read as {encoding[:6].upper() if encoding.startswith('utf') else encoding}, and not as UTF-8")


def _decode(path: Path, data: bytes, encoding: str, language: str) -> str:
    """The text of a file.

    Args:
        encoding: empty if it is not sure.

    Raises:
        UserError: it is not sure, or the text has NULs.
    """
    if not encoding:
        line = next((i for i, line in enumerate(data.split(b"\n"), start=1) if not _is(line, "utf-8")), 1)
        usual = next(iter(_USUAL[language][0]), "ENCODING")
        raise UserError(
            f"{path}, line {line} is not UTF-8, and its encoding is not sure; convert the file, for example with "
            f"`iconv -f {usual} -t UTF-8`, and look at the letters."
        )
    text = data.decode(encoding).removeprefix("\ufeff")
    if "\0" in text:
        raise UserError(f"{path} has NUL bytes, so it is no text or damaged; save it again in the encoding UTF-8.")
    return files.one_line_end(text)


def _unicode(data: bytes) -> str:
    """The encoding of a text that is UTF-8, UTF-16 or UTF-32; empty if it is none of them."""
    return _wide(data) or ("utf-8-sig" if _is(data, "utf-8") else "")


def _is(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _older(data: bytes, language: str) -> str:
    """The encoding of a text that is not Unicode; empty if it is not sure."""
    found = _candidates(data, language, set()) or _candidates(data, language, _SHARED)
    if len(set(found.values())) > 1:
        return _least_messy(data, list(found))
    return next(iter(found), "")


def _wide(data: bytes) -> str:
    """The name of the UTF-16 or UTF-32 that a text is in; empty if it is in neither. Without a byte order mark, it is
    one of those UTF-16 in which the text is mostly ASCII, or has lines and a tenth of ASCII, because lists have ids."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # before UTF-16, whose mark begins the first one
        return "utf-32" if _is(data, "utf-32") else ""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16" if len(data) % 2 == 0 else ""
    for encoding in ("utf-16-le", "utf-16-be") if b"\0" in data else ():
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        plain = sum(one in string.printable for one in text)
        if "\0" not in text and plain * (10 if "\n" in text else 2) >= len(text):
            return encoding
    return ""


def _candidates(data: bytes, language: str, more: set[str]) -> dict[str, str]:
    """The encodings that can be a text's, and the text in each.

    Args:
        more: small letters that count beside those of the language.
    """
    usual, letters = _USUAL[language]
    found = {}
    for encoding in usual:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        own = [one for one in text if not one.isascii() and _is_letter(one, language, letters, more)]
        strange = set(text) - set(own) - _SIGNS - set(string.printable)
        capitals = set("".join(own).upper()) & set(own)
        mixed = sum(one.islower() and other in capitals for one, other in itertools.pairwise(text))
        signs = (language, encoding) == ("en", "cp1252")  # English often has ’ and “ and no other letter to tell
        if not strange and mixed <= _MIXED * len(own) and (own or signs):
            found[encoding] = text
    return found


def _is_letter(one: str, language: str, letters: str, more: set[str]) -> bool:
    if language in _SCRIPTS:
        return unicodedata.name(one, "").startswith(_SCRIPTS[language] + _WIDE)
    return (
        one.lower() in letters or one == ("İ" if language == "tr" else "") or (one.lower() in more and language != "ru")
    )


def _least_messy(data: bytes, encodings: list[str]) -> str:
    """The encoding in which charset-normalizer finds the text less messy than in the others; empty if there is none,
    or if the text is too short to tell."""
    from charset_normalizer import from_bytes  # only needed for these few files

    if sum(byte > 127 for byte in data) < _ENOUGH:
        return ""
    found = sorted(from_bytes(data, cp_isolation=encodings, threshold=1.0), key=lambda one: one.chaos)
    known = [one for one in found if one.encoding in encodings]
    sure = known and (len(known) == 1 or known[0].chaos < known[1].chaos)
    return known[0].encoding if sure else ""
