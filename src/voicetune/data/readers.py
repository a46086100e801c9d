"""Readers: a source of params.yaml in, a list of utterances out. Adding a format means adding a reader here.

A fault of a list (a missing file, a malformed row) stops at once, with the file and the line. A fault of a
single recording does not: it shows when `sound` opens it, and prepare then leaves out that one clip.
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voicetune.data import audio, espeak
from voicetune.errors import UserError
from voicetune.params.data import EspeakSource, LJSpeechSource, Source

EXTENSIONS = (".wav", ".flac", ".mp3", ".ogg", ".m4a")  # in the order of preference
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]")
_LONGEST_ID = 100  # characters; file systems allow 255 bytes a name


@dataclass(frozen=True)
class Speech:
    """How espeak-ng is to speak; the arguments of `espeak.speak`."""

    voice: str
    rate: int
    pitch: int


@dataclass(frozen=True)
class Utterance:
    """A text and where its sound comes from: a recording, or espeak-ng.

    id: unique over all sources, and safe as a file name. source: its name.
    """

    id: str
    text: str
    language: str
    speaker: str
    source: str
    origin: Path | Speech


def read(sources: list[Source]) -> list[Utterance]:
    """Read every source, in the order of params.yaml and of its rows.

    Raises:
        UserError: a source is missing, malformed or not UTF-8, or an id occurs twice.
    """
    utterances = [utterance for source in sources for utterance in _read(source)]
    seen: dict[str, str] = {}
    for utterance in utterances:  # the sources "a" with "b-1" and "a-b" with "1" meet in a-b-1
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
        UserError: the recording cannot be decoded, or espeak-ng lacks the voice.
    """
    origin = utterance.origin
    if isinstance(origin, Path):
        return audio.read(origin)
    return espeak.speak(utterance.text, origin.voice, origin.rate, origin.pitch), espeak.SAMPLE_RATE


def _ljspeech(source: LJSpeechSource) -> list[Utterance]:
    folder = Path(source.path)
    recordings = _recordings(folder)
    utterances = []
    for id, *texts in _rows(folder / "metadata.csv", fields=(2, 3)):
        # a row whose recording is missing gets the place where it should lie
        path = recordings.get(id) or recordings.get(_stem(id)) or folder / "wavs" / f"{_stem(id)}.wav"
        text = texts[-1] or texts[0]  # the normalised text, where there is one
        utterances.append(_utterance(source, _stem(id), text, path))
    return utterances


def _espeak(source: EspeakSource) -> list[Utterance]:
    speech = Speech(source.voice, source.rate, source.pitch)
    return [_utterance(source, _stem(id), text, speech) for id, text in _rows(Path(source.path), fields=(2,))]


def _read(source: Source) -> list[Utterance]:
    return _espeak(source) if isinstance(source, EspeakSource) else _ljspeech(source)


def _utterance(source: Source, id: str, text: str, origin: Path | Speech) -> Utterance:
    text = unicodedata.normalize("NFC", text)  # macOS writes é as two characters, which XTTS does not know
    return Utterance(f"{source.name}-{id}", text, source.language, source.speaker, source.name, origin)


def _stem(id: str) -> str:
    """An id without the extension of a sound file; other dots belong to the id."""
    extension = Path(id).suffix
    return id.removesuffix(extension) if extension.lower() in EXTENSIONS else id


def _recordings(folder: Path) -> dict[str, Path]:
    """Every recording under its name without and with the extension; wavs/ goes before the folder itself."""
    paths = [path for place in (folder, folder / "wavs") if place.is_dir() for path in sorted(place.iterdir())]
    paths = [path for path in paths if path.suffix.lower() in EXTENSIONS]
    by_preference = sorted(paths, key=lambda path: -EXTENSIONS.index(path.suffix.lower()))
    return {path.stem: path for path in by_preference} | {path.name: path for path in paths}


def _rows(path: Path, fields: tuple[int, ...]) -> list[list[str]]:
    """The rows of a list `id|text...`, stripped; quotes are plain characters, empty lines are skipped."""
    form = " or ".join("|".join(["id", "text", "normalised text"][:count]) for count in fields)
    rows: list[list[str]] = []
    lines: dict[str, int] = {}
    # not splitlines(), which also splits at characters that a text may hold, such as U+2028
    for number, line in enumerate(_text(path, form).split("\n"), start=1):
        if not line.strip():
            continue
        row = [field.strip() for field in line.split("|")]
        at = f"{path}, line {number}"
        if len(row) not in fields:
            raise UserError(f"{at} has {len(row)} fields; write it as {form}.")
        _check_id(row[0], at)
        first = lines.setdefault(_stem(row[0]), number)
        if first != number:
            raise UserError(f"{at} repeats the id '{row[0]}' of line {first}; rename or remove one of the two.")
        rows.append(row)
    if not rows:
        raise UserError(f"{path} holds no rows; write one line {form} for each clip.")
    return rows


def _check_id(id: str, at: str) -> None:
    if not _stem(id):
        raise UserError(f"{at} has no id; begin it with the name of its recording, then | and the text.")
    if _UNSAFE.search(id) or id in (".", ".."):
        raise UserError(f"{at} has the id {id!r}; use a plain file name, without folders or control characters.")
    if len(id) > _LONGEST_ID:
        raise UserError(f"{at} has an id of {len(id)} characters; shorten it to at most {_LONGEST_ID}.")


def _text(path: Path, form: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise UserError(
            f"{path} is missing; create it with one line {form} for each clip, or correct the source's path "
            "in params.yaml."
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line} is not UTF-8; save the file again in the encoding UTF-8.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); correct its permissions.") from None
