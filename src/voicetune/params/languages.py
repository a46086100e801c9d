"""The languages of XTTS v2."""

from typing import Literal

# Most characters of a sentence. Source: TTS.tts.layers.xtts.tokenizer.VoiceBpeTokenizer.char_limits; a test compares.
CHARACTER_LIMITS = {
    "en": 250, "de": 253, "fr": 273, "es": 239, "it": 213, "pt": 203, "pl": 224, "zh": 82, "ar": 166,
    "cs": 186, "ru": 182, "nl": 251, "tr": 226, "ja": 71, "hu": 224, "ko": 95, "hi": 150,
}  # fmt: skip

Language = Literal[
    "en", "de", "fr", "es", "it", "pt", "pl", "zh", "ar", "cs", "ru", "nl", "tr", "ja", "hu", "ko", "hi"
]  # fmt: skip
