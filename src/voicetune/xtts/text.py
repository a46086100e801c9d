"""Text to tokens, with XTTS's own tokenizer (`TTS.tts.layers.xtts.tokenizer.VoiceBpeTokenizer`)."""

from pathlib import Path

import numpy as np
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

from voicetune.errors import UserError

MAX_TOKENS = 200  # the stock recipe's limit for training (GPTArgs.max_text_length)


class Tokenizer:
    """A model folder's vocab.json, opened."""

    def __init__(self, vocab: Path):
        self.stock = VoiceBpeTokenizer(str(vocab))
        self.path = vocab
        self._unknown = self.stock.tokenizer.token_to_id("[UNK]")

    def __len__(self) -> int:
        return self.stock.get_number_tokens()

    def special(self, name: str) -> int:
        """The id of `[START]`, `[STOP]` and the like.

        Raises:
            UserError: the vocabulary has no such token.
        """
        token = self.stock.tokenizer.token_to_id(name)
        if token is None:
            raise UserError(f"{self.path} has no token {name}; take the vocab.json that belongs to the model.")
        return token

    def encode(self, text: str, language: str) -> np.ndarray:
        """Tokens with the language tag first: (t,) int32. Unknown characters become [UNK]."""
        return np.array(self.stock.encode(text, language), np.int32)

    def unknown_characters(self, text: str, language: str) -> list[str]:
        """The characters of the cleaned text (or the language's tag) that the vocabulary lacks."""
        language = language.split("-")[0]
        tag = "[zh-cn]" if language == "zh" else f"[{language}]"
        missing = [] if self.stock.tokenizer.token_to_id(tag) is not None else [tag]
        cleaned = self.stock.preprocess_text(text, language).replace(" ", "")
        for character in dict.fromkeys(cleaned):
            if self._unknown in self.stock.tokenizer.encode(character).ids:
                missing.append(character)
        return missing
