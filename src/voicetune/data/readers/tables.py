"""Reads lists whose rows have named fields: tables with a header, and JSON lines."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voicetune.data.readers import lists
from voicetune.data.readers.source import Source
from voicetune.errors import UserError, quoted

AUDIO = ("audio_filepath", "audio_file", "audio_path", "audio", "file", "path", "wav")
TEXT = ("text", "transcription", "transcript", "sentence")
SPEAKER = ("speaker", "speaker_name", "speaker_id")
LANGUAGE = ("lang", "language", "locale")


def rows(path: Path, delimiter: str, needed: tuple[str, ...], source: Source) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table by the names of its header, each after its place: `metadata.csv, line 3`.

    Fields may be enclosed in quotation marks, as in CSV, but none may have a line end. Where the delimiter is no comma,
    many programs enclose nothing. So a row that is not correct CSV is then taken as it stands.

    Args:
        needed: names that the header must have.

    Raises:
        UserError: the table leads out of the source, cannot be read or has no rows; the header lacks a needed name or
            has one twice; or a row has more or fewer fields than the header.
    """
    lists.check_inside(path, Path(source.path))
    form = delimiter.join(needed).replace("\t", "<tab>")
    header: list[str] = []
    at = ""
    for at, line in lists.lines(path, f"create it with the header {form}", source.language):
        fields = _fields(line, delimiter, at)
        if not header:
            header = [field.strip() for field in fields]
            if not set(needed) <= set(header) or len(set(header)) < len(header):
                raise UserError(f"{at} is {quoted(line)}, but should be a header such as {form}; write one there.")
        elif len(fields) != len(header):
            form = delimiter.join(header).replace("\t", "<tab>")
            what = "quotation marks around a text with commas" if delimiter == "," else f"it as {form}, on one line"
            raise UserError(f"{at} has {len(fields)} fields, and the header has {len(header)}; write {what}.")
        else:
            yield at, {name: field.strip() for name, field in zip(header, fields, strict=True)}
    if not header or at.endswith(", line 1"):
        raise UserError(f"{path} holds no rows; write a header such as {form}, and one line for each clip.")


def _fields(line: str, delimiter: str, at: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        if delimiter != ",":
            return line.split(delimiter)
        raise UserError(
            f"{at} is no CSV ({error}); close its quotation marks, and write each clip on one line."
        ) from None


def objects(path: Path, source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file of JSON lines, each after its place.

    Raises:
        UserError: the file leads out of the source, cannot be read or is empty, or a line is no JSON object.
    """
    lists.check_inside(path, Path(source.path))
    at = ""
    for at, line in lists.lines(path, "create it with one JSON object a line", source.language):
        try:
            one = json.loads(line)
        except (ValueError, RecursionError):
            one = None
        if not isinstance(one, dict):
            raise UserError(
                f"{at} is no JSON object: {quoted(line)}; write one object a line, such as "
                '{"audio": "a.wav", "text": "Hello."}.'
            )
        yield at, one
    if not at:
        raise UserError(f"{path} holds no lines; write one JSON object a line for each clip.")


def text_of(row: dict[str, Any], names: tuple[str, ...], at: str) -> str:
    """The text under the first of these names that a row has; empty if it has none of them.

    Raises:
        UserError: it is no text, or has half a character (U+D800 to U+DFFF).
    """
    name = next((name for name in names if name in row), "")
    value = row.get(name)
    if isinstance(value, dict) and isinstance(value.get("path"), str):  # the audio of a Hugging Face data set
        value = value["path"]
    if isinstance(value, int) and not isinstance(value, bool):  # a speaker's number
        value = str(value)
    if value is None:
        return ""
    if not isinstance(value, str) or any("\ud800" <= one <= "\udfff" for one in value):
        raise UserError(f"{at} has {quoted(value)} under '{name}'; write a text there.")
    return " ".join(value.split())


def seconds_of(row: dict[str, Any], name: str, at: str) -> float | None:
    """The number of seconds under a name; None if there is none.

    Raises:
        UserError: it is no finite number.
    """
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise UserError(f"{at} has {quoted(value)} under '{name}'; write a number of seconds there, such as 12.5.")
    return float(value)
