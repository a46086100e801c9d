"""Reads lists of ids, such as `id|text`. A fault in a list is one sentence, which names the file and the line."""

import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from voicetune import files
from voicetune.data.readers import encodings
from voicetune.data.readers.source import Source, nfc
from voicetune.errors import UserError, quoted
from voicetune.params.reading import Name

# In order of preference.
EXTENSIONS = (
    *(".wav", ".flac", ".mp3", ".ogg", ".m4a", ".opus", ".webm", ".mp4", ".aiff", ".aif"),
    *(".mkv", ".mov", ".oga", ".aac", ".amr", ".3gp", ".wma", ".caf", ".au", ".w64", ".g722", ".gsm"),
)
_HEADER = {
    "id",
    "file",
    "file_name",
    "filename",
    "audio",
    "audio_file",
    "path",
    "text",
    "transcript",
    "sentence",
    "speaker",
    "speaker_name",
    "normalized_text",
    "normalised_text",
}
_SPEAKER = TypeAdapter(Name)
_PLACE = re.compile(r"^(?:\./)?wavs?/")
_ABSOLUTE = re.compile(r"^/|^[A-Za-z]:/")
_HASH = re.compile(r"[0-9a-f]{32,}")
_DIGITS = 12  # of a speaker's hash
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]")
_UNSAFE_ON_WINDOWS = re.compile(r'[<>:"|?*]')
_LONGEST_ID = 100  # characters
_LONGEST_NAME = 230  # bytes of a clip's name; file systems allow 255, including its extension and `.part`


def stem(id: str) -> str:
    """An id without a sound file's extension. Other dots belong to the id."""
    extension = Path(id).suffix
    return id.removesuffix(extension) if extension.lower() in EXTENSIONS else id


def rows(path: Path, fields: tuple[int, ...], source: Source) -> list[list[str]]:
    """The rows of a list `id|text...`: stripped, ids in NFC. Quotes are plain characters. Empty lines are skipped.

    Args:
        fields: how many fields a row may have.
        source: its name becomes a part of the clips' names.

    Raises:
        UserError: the list cannot be read or is empty, it begins with a header, or a row has other fields, an
            id twice or an unusable id.
    """
    form = " or ".join("|".join(["id", "text", "normalised text"][:count]) for count in fields)
    create = f"create it with one line {form} for each clip, or correct the source's path in params.yaml"
    found: list[list[str]] = []
    first: dict[str, str] = {}
    for at, line in lines(path, create, source.language):
        id, *texts = (field.strip() for field in line.split("|"))
        if not found and {id.lower(), *(text.lower() for text in texts)} <= _HEADER:
            raise UserError(f"{at} is a header ({line.strip()}); remove it, and write each clip's line as {form}.")
        if len(texts) + 1 not in fields:
            raise UserError(f"{at} has {len(texts) + 1} fields; write it as {form}.")
        id = _PLACE.sub("", nfc(id))  # many lists have the path wavs/a.wav
        if not stem(id):
            raise UserError(f"{at} has no id; begin it with the name of its recording, then | and the text.")
        check_id(id, source.name, at)
        check_once(id, stem(id), at, first)
        found.append([id, *texts])
    if not found:
        raise UserError(f"{path} holds no rows; write one line {form} for each clip.")
    return found


def lines(path: Path, create: str, language: str) -> Iterator[tuple[str, str]]:
    """The lines of a text that are not empty, each after its place: `metadata.csv, line 3`.

    Args:
        create: what to do if there is no such file, without its full stop.
        language: of the source; it helps to find the encoding.

    Raises:
        UserError: see `encodings.read_text`.
    """
    # not splitlines(), which also splits at characters that a text may hold, such as U+2028
    for number, line in enumerate(encodings.read_text(path, create, language).split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line


def walk(folder: Path) -> list[Path]:
    """All files of a folder and of the folders in it, in the order of their names, except hidden ones."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if not name.startswith(".")]
    return found


def is_sound(path: Path) -> bool:
    """Whether a file has a sound file's extension."""
    return path.suffix.lower() in EXTENSIONS


def sounds(paths: Iterable[Path]) -> dict[Path, Path]:
    """The sound files among these, by their paths in NFC without extension. If several have the same path, it is the
    one whose format EXTENSIONS lists first."""
    found = sorted(filter(is_sound, paths), key=lambda path: -EXTENSIONS.index(path.suffix.lower()))
    return {Path(nfc(str(path.with_suffix("")))): path for path in found}


def recording(folder: Path, name: str) -> Path:
    """The path of a recording that a list names by its path, from the source's folder or absolute.

    An absolute path is often that of the machine that wrote the list. So the longest end of it that exists in the
    folder is taken: of /home/anna/corpus/wavs/a.wav, this may be wavs/a.wav. If there is no such file, one with the
    same name in another Unicode form or with another extension is taken, as recordings are often converted after the
    list was written. If there is none either, this is where it should be.
    """
    name = name.replace("\\", "/")
    path = folder / name
    if Path(name).is_relative_to(folder.absolute()):
        path = folder / Path(name).relative_to(folder.absolute())
    elif _ABSOLUTE.match(name):
        parts = name.split("/")
        for end in (folder.joinpath(*parts[first:]) for first in range(1, len(parts))):
            if os.path.isdir(end.parent) and (found := _existing(end)):
                return found
    return _existing(path) or path


def _existing(path: Path) -> Path | None:
    """The file at a path, or one of the same name in another Unicode form or with another extension."""
    forms = [path.with_name(unicodedata.normalize(form, path.name)) for form in ("NFC", "NFD")] if path.name else []
    others = [Path(f"{stem(str(form))}{extension}") for extension in EXTENSIONS for form in forms]
    return next((one for one in [path, *forms, *others] if os.path.lexists(one)), None)


def id_of(path: Path, folder: Path) -> str:
    """A clip's id: the path of its recording in the source's folder, without extension, with - for /."""
    path, folder = Path(os.path.normpath(path)), Path(os.path.normpath(folder))
    inside = path.relative_to(folder).parts if path.is_relative_to(folder) else (path.name,)
    return nfc(stem("-".join(inside)))


def check_inside(path: Path, folder: Path) -> None:
    """Check that a list of a source lies in the source's folder.

    Raises:
        UserError: it is a link that leads out of the folder.
    """
    if files.leaves(path, folder):
        raise UserError(f"{path} is a link that leads out of {folder}; put the file itself there.")


def check_id(id: str, source: str, at: str) -> None:
    """Check that a clip's file can have this id in its name.

    Raises:
        UserError: it is empty, has folders, control characters or what no file of Windows may have, or is too long.
    """
    if not id:
        raise UserError(f"{at} has no id; write the name of its recording there.")
    if _UNSAFE.search(id) or id in (".", ".."):
        raise UserError(f"{at} has the id {id!r}; use a plain file name, without folders or control characters.")
    if sys.platform == "win32" and (bad := _UNSAFE_ON_WINDOWS.search(id)):
        raise UserError(f"{at} has the id {id!r}, but no file of Windows can have {bad[0]} in its name; rename it.")
    if len(id) > _LONGEST_ID:
        raise UserError(f"{at} has an id of {len(id)} characters; shorten it to at most {_LONGEST_ID}.")
    if (size := len(f"{source}-{id}".encode())) > _LONGEST_NAME:
        raise UserError(f"{at} makes a clip whose name has {size} bytes; shorten the id to {_LONGEST_NAME} in all.")


def speaker(name: str) -> str:
    """The speaker whom a list names. Of a hash, as Common Voice and what was made from it have, the first 12 digits."""
    return name[:_DIGITS] if _HASH.fullmatch(name) else name


def check_speaker(name: str, at: str) -> None:
    """Check that a speaker that a list names can have this name: the same rule as for `speaker` in params.yaml.

    Raises:
        UserError: it is empty or too long, or has other characters.
    """
    try:
        _SPEAKER.validate_python(name)
    except ValidationError:
        allowed = "at most 60 letters A to Z, digits, dots, hyphens and underscores"
        raise UserError(f"{at} has the speaker {quoted(name)}; use {allowed}.") from None


def check_once(id: str, key: str, at: str, first: dict[str, str]) -> None:
    """Check that a list has an id once.

    Args:
        key: what two ids may not share, such as the id without its extension.
        first: where each key came first; this adds the new one.

    Raises:
        UserError: the key came before.
    """
    if (earlier := first.setdefault(key, at)) != at:
        line = earlier.rpartition("line ")[2]
        raise UserError(f"{at} repeats the id '{id}' of line {line}; rename or remove one of the two.")


def check_row(id: str, speaker: str, source: str, at: str, first: dict[str, str]) -> None:
    """Check what a row of a list names: an id that a clip can have, once, and a speaker, unless it is empty.

    Args:
        source: the source's name.
        first: see `check_once`.

    Raises:
        UserError: see `check_id`, `check_once` and `check_speaker`.
    """
    check_id(id, source, at)
    check_once(id, id, at, first)
    if speaker:
        check_speaker(speaker, at)
