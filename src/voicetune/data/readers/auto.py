"""Finds the reader of a folder: `reader: auto`. Each reader says with `Source.layout` which folders it reads."""

from pathlib import Path
from typing import Literal, get_args

from voicetune.data.readers import lists
from voicetune.data.readers.source import Source
from voicetune.data.utterance import Utterance
from voicetune.errors import UserError, quoted

_MOST, _MOST_BELOW = 8, 3  # names of files, and of folders, in a message
_LISTS = {".csv", ".tsv", ".json", ".jsonl", ".list", ".txt", ".lab", ".srt", ".vtt"}  # what may hold texts


class AutoSource(Source):
    """A folder in the layout of any other reader that needs no further key."""

    reader: Literal["auto"]


def read(source: AutoSource) -> list[Utterance]:
    """Read the folder with the one reader that knows its layout, and print which one it is.

    Raises:
        UserError: no reader or several know the layout; or see the reader.
    """
    from voicetune.data.readers import READERS  # the table names this file

    folder = Path(source.path)
    found = find(folder, READERS)
    if len(found) != 1:
        raise UserError(_refusal(folder, found, READERS))
    (section, layout), *_ = found.items()
    print(f"{source.path} looks like {layout}, so it is read with `reader: {name_of(section)}`")
    return READERS[section](section(**{**source.model_dump(), "reader": name_of(section)}))


def find(folder: Path, sections) -> dict[type[Source], str]:
    """The sections whose layout a folder has, and what shows it."""
    return {section: layout for section in sections if (layout := section.layout(folder))}


def name_of(section: type[Source]) -> str:
    """The name of a section's reader in params.yaml."""
    return get_args(section.model_fields["reader"].annotation)[0]


def _refusal(folder: Path, found: dict[type[Source], str], sections) -> str:
    names = ", ".join(name_of(section) for section in sections if section is not AutoSource)
    if found:
        layouts = " and like ".join(f"{layout}: {name_of(section)}" for section, layout in found.items())
        return f"{folder} looks like {layouts}; write one of these readers in params.yaml instead of auto."
    if not folder.is_dir():
        return f"{folder} is no folder; correct the source's path in params.yaml, or choose a reader: {names}."
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in inside if len(inside) == 1 and inside[0].is_dir() else []:
        if layout := next(iter(find(path, sections).values()), ""):
            return f"{folder} has nothing but {path.name}/, which looks like {layout}; move its files up into {folder}."
    if below := _below(folder, sections):
        return (
            f"{folder} has no layout that is known, but {' and '.join(below)}; write such a path in params.yaml, or"
            f" move its lists up if their paths begin at {folder}."
        )
    every = lists.walk(folder)
    sounds = [path.name for path in every if lists.is_sound(path)]
    if sounds and not any(path.suffix.lower() in _LISTS for path in every):
        return (
            f"{folder} has {len(sounds)} recordings, such as {quoted(sounds[0])}, and no texts; write `reader: long` in"
            " params.yaml instead of auto: stage transcribe then cuts them and writes their texts"
            " (docs/long-recordings.md)."
        )
    listed = ", ".join(quoted(path.name + "/" * path.is_dir()) for path in inside[:_MOST]) or "nothing"
    more = f" and {len(inside) - _MOST} more" if len(inside) > _MOST else ""
    none = "; without texts, it is long (docs/long-recordings.md)" if sounds else ""
    return f"{folder} has no layout that is known: it holds {listed}{more}; choose a reader: {names}{none}."


def _below(folder: Path, sections) -> list[str]:
    """Some of the folders in a folder that have a layout, with what shows it, such as `x/train looks like Kaldi`."""
    found: dict[Path, str] = {}
    for path in (path for pattern in ("*/", "*/*/") for path in sorted(folder.glob(pattern))):
        layout = next(iter(find(path, sections).values()), "")
        if layout and path.parent not in found:
            found[path] = f"{path} looks like {layout}"
    return list(found.values())[:_MOST_BELOW]
