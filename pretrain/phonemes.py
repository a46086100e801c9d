"""Turn English text into Kokoro's phoneme symbols with espeak-ng, and record the place of each word in the text."""

import ctypes
import functools
import re

import espeakng_loader

Stretch = tuple[int, str]
"""Place of its first word in the text, and its symbols. Mostly one word, but espeak-ng reads "of the" as one."""

_NO_AUDIO, _UTF8 = 0x02, 1  # espeak_AUDIO_OUTPUT AUDIO_OUTPUT_SYNCHRONOUS; espeakCHARS_UTF8
_TIED_IPA = 0x02 | ord("^") << 8 | 0x80  # phoneme mode: IPA, with ^ between the letters of one phoneme
_SYMBOLS = [  # Kokoro's American voices learned one letter for a diphthong or an affricate, and no length marks
    ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"), ("o^ʊ", "O"), ("ə^ʊ", "O"), ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"),
    ("ə^l", "ᵊl"), ("ɚ", "əɹ"), ("ɜː", "ɜɹ"), ("r", "ɹ"), ("x", "k"), ("ɐ", "ə"), ("ɾ", "T"), ("ː", ""), ("^", ""),
]  # fmt: skip
_CLAUSE = re.compile(r"([^.,!?;:]+)([.,!?;:]?)[.,!?;:]*")


def stretches(text: str) -> list[Stretch]:
    """Turn the text's words into symbols. A clause is one stretch if espeak-ng joins its words in an unknown way."""
    found: list[Stretch] = []
    for clause in _CLAUSE.finditer(text):
        words = [(clause.start() + word.start(), word[0]) for word in re.finditer(r"\S+", clause[1])]
        if not words:
            continue
        sounds = of_clause(clause[1].strip()).split()
        places = [place for place, _ in _joined(words, len(sounds))]
        if len(places) != len(sounds):
            places, sounds = places[:1], [" ".join(sounds)]
        found += list(zip(places, [*sounds[:-1], sounds[-1] + clause[2]], strict=True))
    return found


def _joined(words: list[tuple[int, str]], wanted: int) -> list[tuple[int, str]]:
    """Drop each word that espeak-ng joins to the word before it, unless the number of words is as wanted already."""
    if len(words) == wanted:
        return words
    kept: list[tuple[int, str]] = []
    for place, word in words:
        if kept and len(of_clause(f"{kept[-1][1]} {word}").split()) == 1:
            continue
        kept.append((place, word))
    return kept


@functools.lru_cache(4096)
def of_clause(text: str) -> str:
    """Turn a text without punctuation into Kokoro's symbols, with a space between words."""
    library = _library()
    rest = ctypes.c_char_p(text.encode())
    place = ctypes.cast(ctypes.pointer(rest), ctypes.POINTER(ctypes.c_void_p))
    parts = []
    while rest.value is not None:  # espeak-ng advances the pointer, and sets it to null at the end
        part = library.espeak_TextToPhonemes(place, _UTF8, _TIED_IPA)
        parts.append((part or b"").decode())
    symbols = " ".join(parts)
    for ipa, symbol in _SYMBOLS:
        symbols = symbols.replace(ipa, symbol)
    return symbols


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Initialize(_NO_AUDIO, 0, str(espeakng_loader.get_data_path()).encode(), 0x8000)
    library.espeak_SetVoiceByName(b"en-us")
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    return library
