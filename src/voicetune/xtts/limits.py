"""How long a text XTTS v2 can speak. Imports no torch."""

# Most characters of a sentence. Source: TTS.tts.layers.xtts.tokenizer.VoiceBpeTokenizer.char_limits; a test compares.
CHARACTERS = {
    "en": 250, "de": 253, "fr": 273, "es": 239, "it": 213, "pt": 203, "pl": 224, "zh": 82, "ar": 166,
    "cs": 186, "ru": 182, "nl": 251, "tr": 226, "ja": 71, "hu": 224, "ko": 95, "hi": 150,
}  # fmt: skip
