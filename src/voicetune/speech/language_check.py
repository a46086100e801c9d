"""Whether a model speaks a language. Without this, its tag would be an unknown character of the text."""

from voicetune.errors import UserError
from voicetune.params.languages import LANGUAGES
from voicetune.speech.voice import Voice


def check_language(voice: Voice, language: str) -> None:
    """Require a language that the model speaks.

    Raises:
        UserError: its vocabulary lacks the language.
    """
    if voice.model.unknown_characters("", language):
        tried = {*LANGUAGES, voice.language}  # the latter may have been added to its base
        spoken = sorted(one for one in tried if not voice.model.unknown_characters("", one))
        raise UserError(f"the model {voice.path} does not speak '{language}'; it speaks {', '.join(spoken)}.")
