"""The languages that voicetune knows: it can spell out their texts to compare them, and its models speak them."""

from typing import Literal, get_args

Language = Literal[
    "en", "de", "fr", "es", "it", "pt", "pl", "zh", "ar", "cs", "ru", "nl", "tr", "ja", "hu", "ko", "hi"
]  # fmt: skip
LANGUAGES: tuple[str, ...] = get_args(Language)
