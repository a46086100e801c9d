"""Readers turn a source of params.yaml into a list of utterances. READERS is the table of all of them.

To add a reader, add a file here with its section and its function, and a line to the table. Nothing here imports
torch, librosa or soundfile, because the checks of params.yaml use the sections.

A fault in a list (a missing file, a malformed row) raises an error at once, which names the file and the line. A fault
in a single recording does not: prepare leaves out that one clip. `Utterance.fault` says if the recording is missing,
and `sounds.sound` raises an error if it cannot be used.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from voicetune import files
from voicetune.data.readers import (
    audiofolder,
    auto,
    common_voice,
    coqui,
    espeak,
    festvox,
    gpt_sovits,
    jsonl,
    kaldi,
    lists,
    ljspeech,
    long,
    overlaps,
    subtitles,
    texts,
    vctk,
)
from voicetune.data.readers.source import Source, nfc
from voicetune.data.utterance import Speech, Utterance
from voicetune.errors import UserError, quoted

_REMEDY = "write it as docs/extending.md shows, or take the reader out of the table in __init__.py"

try:
    READERS: dict[type[Source], Callable[[Any], list[Utterance]]] = {
        ljspeech.LJSpeechSource: ljspeech.read,
        espeak.EspeakSource: espeak.read,
        kaldi.KaldiSource: kaldi.read,
        coqui.CoquiSource: coqui.read,
        common_voice.CommonVoiceSource: common_voice.read,
        vctk.VCTKSource: vctk.read,
        audiofolder.AudioFolderSource: audiofolder.read,
        jsonl.JSONLinesSource: jsonl.read,
        gpt_sovits.GPTSoVITSSource: gpt_sovits.read,
        festvox.FestvoxSource: festvox.read,
        texts.TextsSource: texts.read,
        subtitles.SubtitlesSource: subtitles.read,
        long.LongSource: long.read,
        auto.AutoSource: auto.read,
    }
except AttributeError as error:
    file = f"src/{getattr(error.obj, '__name__', '').replace('.', '/')}.py"
    raise UserError(f"{file} has no `{error.name}`; {_REMEDY}.") from None
"""Each section of params.yaml, and the function that reads such a source."""

if nameless := [section for section in READERS if "reader" not in section.model_fields]:
    file = f"src/{nameless[0].__module__.replace('.', '/')}.py"
    raise UserError(f"{file}: {nameless[0].__name__} has no `reader: Literal[...]`; {_REMEDY}.")

_MOST_SPEAKERS = 20  # in a message


def read(sources: Sequence[Source]) -> list[Utterance]:
    """Read every source, in the order of params.yaml and of its rows. Print how many sounds no list names.

    A source may have a list of all clips beside the lists of its parts: a row that two lists have is one clip.

    Raises:
        UserError: a source is missing, malformed or empty, an id occurs twice, or `only_speakers` names nobody.
    """
    utterances: dict[str, Utterance] = {}  # by the name that the file system gives to the clip's file
    fold = str.casefold if files.ignores_case(Path.cwd()) else str
    for source in sources:
        found = list(dict.fromkeys(READERS[type(source)](source)))
        if not found:
            raise UserError(f"{source.path} holds no clip; add recordings, or correct the path of '{source.name}'.")
        _tell_extra(found, source)
        for utterance in _of_speakers(overlaps.mark(found), source):
            first = utterances.setdefault(fold(utterance.id), utterance)
            if first is not utterance:
                raise _describe_clash(first, utterance, source.path)
    return list(utterances.values())


def _tell_extra(found: list[Utterance], source: Source) -> None:
    """Print which sounds of a source's folder are not used. A list may lack their rows, or name them otherwise."""
    folder = Path(source.path)
    if isinstance(source, long.LongSource) or not folder.is_dir():
        return
    used = {_without_format(one.origin.path) for one in found if not isinstance(one.origin, Speech)}
    extra = [path for path in lists.walk(folder) if lists.is_sound(path) and _without_format(path) not in used]
    if extra:
        print(f"sounds in {folder} that no text names are not used: {len(extra)}, such as {extra[0]}")


def _without_format(path: Path) -> str:
    """A path without its extension, in NFC, and without the number of VCTK's microphone."""
    return vctk.without_microphone(nfc(lists.stem(str(path))))


def _of_speakers(found: list[Utterance], source: Source) -> list[Utterance]:
    """The utterances of the speakers that the source wants."""
    clips = Counter(one.speaker for one in found)
    for name in source.only_speakers or []:
        if name not in clips:
            known = ", ".join(f"{speaker} ({count})" for speaker, count in clips.most_common(_MOST_SPEAKERS))
            more = f" and {len(clips) - _MOST_SPEAKERS} more" if len(clips) > _MOST_SPEAKERS else ""
            raise UserError(
                f"the source '{source.name}' has no speaker '{name}'; correct only_speakers in params.yaml to some of"
                f" its speakers (clips): {known}{more}."
            )
    return [one for one in found if source.only_speakers is None or one.speaker in source.only_speakers]


def _describe_clash(first: Utterance, second: Utterance, folder: str) -> UserError:
    """Two different utterances have the same id: which of them, and what to do."""
    if first.id != second.id:
        return UserError(
            f"the clips '{first.id}' and '{second.id}' differ only in capitals, but this file system keeps one file for"
            " both; rename one of the recordings."
        )
    if first.source == second.source and first.origin == second.origin:
        return UserError(
            f"two lists in {folder} have the clip '{first.id}' with another text or speaker"
            f" ({quoted(first.text)} and {quoted(second.text)}); correct one of them."
        )
    if first.source == second.source:
        return UserError(f"the source '{first.source}' makes two clips '{first.id}'; rename one of the recordings.")
    return UserError(  # source "a" with id "b-1" and source "a-b" with id "1" both make a-b-1
        f"the sources '{first.source}' and '{second.source}' both make a clip '{first.id}'; "
        "rename one of them in params.yaml (prepare.sources)."
    )
