"""Whether a model speaks a language. Without this, its tag would be an unknown character of the text."""

from voicetune.errors import UserError
from voicetune.speech.voice import Voice


def check_language(voice: Voice, language: str) -> None:
    """Require a language that the model speaks.

    Raises:
        UserError: its vocabulary lacks the language.
    """
    if voice.model.unknown_characters("", language):
        spoken = ", ".join(sorted(voice.model.languages)) or "no language that its config.json names"
        raise UserError(f"the model {voice.path} does not speak '{language}'; it speaks {spoken}.")
