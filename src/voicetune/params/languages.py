"""The languages of params.yaml: those whose texts voicetune can spell out in full, and any other that a base knows."""

import re
from typing import Annotated

from pydantic import AfterValidator

LANGUAGES = (
    "en", "de", "fr", "es", "it", "pt", "pl", "zh", "ar", "cs", "ru", "nl", "tr", "ja", "hu", "ko", "hi"
)  # fmt: skip
"""XTTS's languages."""
CHARACTERS = 250
"""The most characters of a text in another language. The stock client of XTTS takes the same."""
RULE = "a language's code of two or three small letters, such as en or ro"


def is_code(language: object) -> bool:
    """Whether it may be the code of a language: two or three small letters, as in ISO 639."""
    return isinstance(language, str) and re.fullmatch("[a-z]{2,3}", language) is not None


def checked(language: str) -> str:
    """The language. Raises ValueError: it cannot be a code."""
    if not is_code(language):
        raise ValueError(RULE)
    return language


Language = Annotated[str, AfterValidator(checked)]
"""A language of LANGUAGES, or another one that was added to the base. Whether the base knows it is checked later."""
