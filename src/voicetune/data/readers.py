"""Readers turn a source of params.yaml into a list of utterances. To add a format, add a reader here.

A fault in a list (a missing file, a malformed row) raises an error at once, which names the file and the line. A fault
in a single recording does not: prepare leaves out that one clip. `Utterance.fault` says if the recording is missing,
and `sound` raises an error if it cannot be used.
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voicetune import files
from voicetune.data import audio, espeak
from voicetune.errors import UserError
from voicetune.params.data import EspeakSource, LJSpeechSource, Source

# In order of preference.
EXTENSIONS = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".opus", ".webm", ".mp4", ".aiff", ".aif")
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]")
_LONGEST_ID = 100  # characters
_LONGEST_NAME = 230  # bytes of a clip's name; file systems allow 255, including its extension and `.part`


@dataclass(frozen=True)
class Speech:
    """How espeak-ng speaks: arguments of `espeak.speak`."""

    voice: str
    rate: int
    pitch: int


@dataclass(frozen=True)
class Utterance:
    """A text and where its sound comes from: a recording, or espeak-ng.

    id: unique over all sources, and safe as a file name, in Unicode's form NFC. source: the source's name. fault: why
    the recording is not available; empty if it is.
    """

    id: str
    text: str
    language: str
    speaker: str
    source: str
    origin: Path | Speech
    fault: str = ""


def read(sources: list[Source]) -> list[Utterance]:
    """Read every source, in the order of params.yaml and of its rows.

    Raises:
        UserError: a source is missing, malformed or not UTF-8, or an id occurs twice.
    """
    utterances = [utterance for source in sources for utterance in _read(source)]
    seen: dict[str, str] = {}
    for utterance in utterances:  # source "a" with id "b-1" and source "a-b" with id "1" both make a-b-1
        other = seen.setdefault(utterance.id, utterance.source)
        if other != utterance.source:
            raise UserError(
                f"the sources '{other}' and '{utterance.source}' both make a clip '{utterance.id}'; "
                "rename one of them in params.yaml (prepare.sources)."
            )
    return utterances


def sound(utterance: Utterance) -> tuple[np.ndarray, int]:
    """Decode an utterance's recording, or have espeak-ng speak it.

    Returns:
        mono float32 samples, shape (samples,), and their rate in Hz.

    Raises:
        UserError: the recording cannot be decoded (then audio.Unusable), or espeak-ng lacks the voice.
    """
    origin = utterance.origin
    if isinstance(origin, Path):
        return audio.read(origin)
    return espeak.speak(utterance.text, origin.voice, origin.rate, origin.pitch), espeak.SAMPLE_RATE


def _ljspeech(source: LJSpeechSource) -> list[Utterance]:
    folder = Path(source.path)
    metadata = folder / "metadata.csv"
    rows = _rows(metadata, (2, 3), source.name)
    if files.leaves(metadata, folder):
        raise UserError(f"{metadata} is a link that leads out of {folder}; put the file itself there.")
    recordings, others = _recordings(folder)
    utterances = []
    for id, *texts in rows:
        # a missing recording gets the path where it should be
        path = recordings.get(id) or recordings.get(_stem(id)) or folder / "wavs" / f"{_stem(id)}.wav"
        text = texts[-1] or texts[0]  # the normalised text, if there is one
        fault = _fault(path, folder, others.get(_stem(id)))
        utterances.append(_utterance(source, _stem(id), text, path, fault))
    return utterances


def _fault(path: Path, folder: Path, other: Path | None) -> str:
    """Why a recording is not available; empty if it is.

    Args:
        other: a file of the same name in a format that is not read.
    """
    if files.leaves(path, folder):
        return f"link: {path} leads out of {folder}; put the recording itself there"
    if files.is_file(path):
        return ""
    if path.exists():
        return f"no plain file: {path} is a folder, a pipe or a device"
    return f"missing recording: {path}" + (f" ({other} is not read: convert it to WAV or FLAC)" if other else "")


def _espeak(source: EspeakSource) -> list[Utterance]:
    speech = Speech(source.voice, source.rate, source.pitch)
    rows = _rows(Path(source.path), (2,), source.name)
    return [_utterance(source, _stem(id), text, speech) for id, text in rows]


def _read(source: Source) -> list[Utterance]:
    return _espeak(source) if isinstance(source, EspeakSource) else _ljspeech(source)


def _utterance(source: Source, id: str, text: str, origin: Path | Speech, fault: str = "") -> Utterance:
    text = unicodedata.normalize("NFC", text)  # macOS writes é as two characters, which XTTS does not know
    return Utterance(f"{source.name}-{id}", text, source.language, source.speaker, source.name, origin, fault)


def _stem(id: str) -> str:
    """An id without a sound file's extension. Other dots belong to the id."""
    extension = Path(id).suffix
    return id.removesuffix(extension) if extension.lower() in EXTENSIONS else id


def _recordings(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Find the files in a folder and in its wavs/. If both have a file of the same name, the one in wavs/ is taken.

    A name without extension stands for the format that EXTENSIONS lists first. Names are in NFC, like ids, because
    macOS writes `e` and its accent as separate characters.

    Returns:
        the recordings, by name with and without extension; and files with other extensions, by name without extension.
    """
    paths = [path for place in (folder, folder / "wavs") if place.is_dir() for path in sorted(place.iterdir())]
    read = [path for path in paths if path.suffix.lower() in EXTENSIONS]
    by_preference = sorted(read, key=lambda path: -EXTENSIONS.index(path.suffix.lower()))
    recordings = {_nfc(path.stem): path for path in by_preference} | {_nfc(path.name): path for path in read}
    return recordings, {_nfc(path.stem): path for path in paths if path not in read and path.suffix}


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _rows(path: Path, fields: tuple[int, ...], source: str) -> list[list[str]]:
    """The rows of a list `id|text...`: stripped, ids in NFC. Quotes are plain characters. Empty lines are skipped."""
    form = " or ".join("|".join(["id", "text", "normalised text"][:count]) for count in fields)
    create = f"create it with one line {form} for each clip, or correct the source's path in params.yaml"
    rows: list[list[str]] = []
    lines: dict[str, int] = {}
    # not splitlines(), which also splits at characters that a text may hold, such as U+2028
    for number, line in enumerate(files.read_text(path, create).split("\n"), start=1):
        if not line.strip():
            continue
        id, *texts = (field.strip() for field in line.split("|"))
        at = f"{path}, line {number}"
        if len(texts) + 1 not in fields:
            raise UserError(f"{at} has {len(texts) + 1} fields; write it as {form}.")
        id = _nfc(id)
        _check_id(id, source, at)
        first = lines.setdefault(_stem(id), number)
        if first != number:
            raise UserError(f"{at} repeats the id '{id}' of line {first}; rename or remove one of the two.")
        rows.append([id, *texts])
    if not rows:
        raise UserError(f"{path} holds no rows; write one line {form} for each clip.")
    return rows


def _check_id(id: str, source: str, at: str) -> None:
    if not _stem(id):
        raise UserError(f"{at} has no id; begin it with the name of its recording, then | and the text.")
    if _UNSAFE.search(id) or id in (".", ".."):
        raise UserError(f"{at} has the id {id!r}; use a plain file name, without folders or control characters.")
    if len(id) > _LONGEST_ID:
        raise UserError(f"{at} has an id of {len(id)} characters; shorten it to at most {_LONGEST_ID}.")
    if (size := len(f"{source}-{id}".encode())) > _LONGEST_NAME:
        raise UserError(f"{at} makes a clip whose name has {size} bytes; shorten the id to {_LONGEST_NAME} in all.")
