"""Converts text to tokens with XTTS's own vocabulary (`TTS.tts.layers.xtts.tokenizer.VoiceBpeTokenizer`).

`spelling.spell_out` and `romanise` prepare the text, then the stock tokenizer splits it into tokens. In a language that
was added to the vocabulary, each letter is written with the language's mark (see `vocabulary`).
"""

import unicodedata
from pathlib import Path

import numpy as np
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

from voicetune.errors import UserError
from voicetune.text.spelling import Unreadable, can_spell_numbers, romanise, spell_out
from voicetune.xtts import vocabulary

# Replacements for signs. A sign is replaced only if the vocabulary lacks it.
_PLAIN: dict[str, str] = {
    **dict.fromkeys("“”„‟«»‹›″*•·|~^[]{}<>_\u00ad\u200b\u200c\u200d\u200e\u200f\ufe0e\ufe0f\ufeff", ""),
    **dict.fromkeys("‘’‚‛′´`ʼ", "'"),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("।॥", "."),
    **dict.fromkeys("/\\", " "),
    "…": "...", "，": ",", "、": ",", "。": ".", "！": "!", "？": "?", "：": ":", "；": ";", "（": "(", "）": ")",
    "،": ",", "؛": ";", "؟": "?", "º": "o", "ª": "a", "¿": "", "¡": "",
}  # fmt: skip
MAX_TOKENS = 200  # the stock recipe's limit for training (GPTArgs.max_text_length)


class Tokenizer:
    """Tokenizes with a model folder's vocab.json."""

    def __init__(self, vocab: Path):
        self.stock = VoiceBpeTokenizer(str(vocab))
        self.path = vocab
        self._unknown = self.stock.tokenizer.token_to_id("[UNK]")

    def __len__(self) -> int:
        return self.stock.get_number_tokens()

    def special(self, name: str) -> int:
        """The id of a special token such as `[START]` or `[STOP]`.

        Raises:
            UserError: the vocabulary has no such token.
        """
        token = self.stock.tokenizer.token_to_id(name)
        if token is None:
            raise UserError(f"{self.path} has no token {name}; take the vocab.json that belongs to the model.")
        return token

    def encode(self, text: str, language: str) -> np.ndarray:
        """Convert text to tokens, with the language tag first: (t,) int32. Unknown characters become [UNK]."""
        tag, tokenizer = _tag(language), self.stock.tokenizer
        written = vocabulary.write_marks(self.written(text, language), vocabulary.mark_of(tokenizer, tag), tokenizer)
        return np.array(tokenizer.encode(tag + written.replace(" ", "[SPACE]")).ids, np.int32)

    def written(self, text: str, language: str) -> str:
        """The text as the model reads it: spelt out, romanised, with plain signs where the vocabulary lacks one.

        Raises:
            Unreadable: it has a number, and no one here can spell numbers in the language.
        """
        spelt = romanise(spell_out(text, language), language)
        if not can_spell_numbers(language) and any(map(str.isdecimal, spelt)):
            raise Unreadable(f"the text '{text[:60]}' has a number, which '{language}' needs in words; write it so.")
        signs = {ord(c): plain for c, plain in _PLAIN.items() if c in spelt and self._lacks(c)}
        return " ".join(spelt.translate(signs).split())

    def unknown_characters(self, text: str, language: str) -> list[str]:
        """The characters of the written text, and the language tag, that the vocabulary lacks."""
        tag = _tag(language)
        missing = [] if self.stock.tokenizer.token_to_id(tag) is not None else [tag]
        if language == "ja":
            missing += _unreadable_in_japanese(text)
        written = self.written(text, language).replace(" ", "")
        return missing + [character for character in dict.fromkeys(written) if self._lacks(character)]

    def _lacks(self, character: str) -> bool:
        return self._unknown in self.stock.tokenizer.encode(character).ids


def _tag(language: str) -> str:
    return vocabulary.tag_of(language.split("-")[0])  # without the region


def _unreadable_in_japanese(text: str) -> list[str]:
    """Characters that cutlet silently turns into question marks, and symbols that it drops."""

    def unread(c: str) -> bool:
        read = romanise(c, "ja")
        return read == "?" or (read == "" and unicodedata.category(c) == "So")

    return [c for c in dict.fromkeys(spell_out(text, "ja")) if c not in "?？" and not c.isascii() and unread(c)]
