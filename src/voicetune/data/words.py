"""Checks whether a text can be spoken at all, in any language."""

import re
import unicodedata

_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")


def fault_of(text: str) -> str | None:
    """Why a text cannot be spoken; None if nothing is wrong.

    espeak-ng would end the text at a NUL, and a terminal that shows the text would act on other control characters. For
    punctuation alone, a model could say anything.
    """
    strange = [one for one in text if unicodedata.category(one) == "Cc" and not one.isspace()]
    if strange:
        return f"control character in the text: U+{ord(strange[0]):04X}"
    return None if any(one.isalnum() for one in text) else "no words in the text"


def fault_of_transcript(text: str) -> str | None:
    """Why a text cannot be what somebody said in a recording; None if nothing is wrong. See also `fault_of`."""
    tag = _TAG.search(text)
    return f"HTML in the text: {tag.group()[:40]}" if tag else fault_of(text)
