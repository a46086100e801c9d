"""Readers turn a source of params.yaml into a list of utterances. READERS is the table of all of them.

To add a reader, add a file here with its section and its function, and a line to the table. Nothing here imports
torch, librosa or soundfile, because the checks of params.yaml use the sections.

A fault in a list (a missing file, a malformed row) raises an error at once, which names the file and the line. A fault
in a single recording does not: prepare leaves out that one clip. `Utterance.fault` says if the recording is missing,
and `sounds.sound` raises an error if it cannot be used.
"""

from collections.abc import Callable, Sequence
from typing import Any

from voicetune.data.readers import espeak, kaldi, ljspeech
from voicetune.data.readers.source import Source
from voicetune.data.utterance import Utterance
from voicetune.errors import UserError

READERS: dict[type[Source], Callable[[Any], list[Utterance]]] = {
    ljspeech.LJSpeechSource: ljspeech.read,
    espeak.EspeakSource: espeak.read,
    kaldi.KaldiSource: kaldi.read,
}
"""Each section of params.yaml, and the function that reads such a source."""


def read(sources: Sequence[Source]) -> list[Utterance]:
    """Read every source, in the order of params.yaml and of its rows.

    Raises:
        UserError: a source is missing, malformed or not UTF-8, or an id occurs twice.
    """
    utterances = [utterance for source in sources for utterance in READERS[type(source)](source)]
    seen: dict[str, str] = {}
    for utterance in utterances:  # source "a" with id "b-1" and source "a-b" with id "1" both make a-b-1
        other = seen.setdefault(utterance.id, utterance.source)
        if other != utterance.source:
            raise UserError(
                f"the sources '{other}' and '{utterance.source}' both make a clip '{utterance.id}'; "
                "rename one of them in params.yaml (prepare.sources)."
            )
    return utterances
