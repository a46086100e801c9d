"""Who agreed that their voice is used: the `consent:` lines of the sources, and their way into a model's card."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from voicetune.data.clip import Clip
from voicetune.data.readers.source import Consent, Source
from voicetune.errors import UserError

KEY = "consent"
"""Of voicetune.json: a list of `Entry`."""
UNSIGNED = "______ (who agreed, when, and to what: fill this in before you give the model to anybody)"
_NOBODY = "needed from nobody: a speech synthesiser speaks"


class Entry(NamedTuple):
    """The speakers of a source, and the line that says who agreed to what; None if it is missing."""

    source: str
    speakers: list[str]
    consent: Consent


def warnings(sources: Sequence[Source]) -> list[str]:
    """A sentence that names the sources of people without a consent line, if there are any."""
    names = [source.name for source in sources if source.of_people and not source.consent]
    if not names:
        return []
    return [
        f"warning: no `consent:` line in params.yaml for {', '.join(names)}; write under prepare.sources who agreed,"
        " when, and to what"
    ]


def list_entries(sources: Sequence[Source], clips: Sequence[Clip]) -> list[Entry]:
    """An entry for each source of which there are clips."""
    found = []
    for source in sources:
        if speakers := sorted({clip.speaker for clip in clips if clip.source == source.name}):
            found.append(Entry(source.name, speakers, source.consent or (None if source.of_people else _NOBODY)))
    return found


def read_entries(model: Path, facts: dict[str, Any]) -> list[Entry]:
    """The entries that a model folder already has.

    Args:
        facts: the content of its voicetune.json.

    Raises:
        UserError: the entries have another shape.
    """
    try:
        return TypeAdapter(list[Entry]).validate_python(facts.get(KEY, []))
    except ValidationError:
        raise UserError(f"{model}: '{KEY}' in voicetune.json is damaged; make the model again.") from None


def describe(found: Sequence[Entry], given: Consent) -> list[str]:
    """What a model's card says about consent, a line each. A blank stands for what is missing.

    Args:
        given: a line that the entries do not have. It stands first, and no blanks follow it.
    """
    told = [
        f"{one.consent or UNSIGNED} (source {one.source}: {', '.join(one.speakers)})"
        for one in found
        if one.consent or not given
    ]
    return [given, *told] if given else told or [UNSIGNED]
