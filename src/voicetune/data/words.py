"""Whether a text can be spoken at all, in whatever language."""

import unicodedata


def fault_of(text: str) -> str | None:
    """Why a text cannot be spoken; None if nothing is wrong. A control character would end it for espeak-ng (NUL), or
    be obeyed by the terminal that shows it; punctuation alone is said as anything."""
    strange = [one for one in text if unicodedata.category(one) == "Cc" and not one.isspace()]
    if strange:
        return f"control character in the text: U+{ord(strange[0]):04X}"
    return None if any(one.isalnum() for one in text) else "no words in the text"
