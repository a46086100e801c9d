"""The families of models that voicetune can train. Nothing else opens a family's package.

`model.py` says what a family's package must have. Each function here opens one module of it, so a stage that calls
`families.encoding` depends on `encoding` of every family, and on no other part of it: `closure` follows these calls.
This module imports no torch.
"""

import importlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicetune import files
from voicetune.errors import UserError
from voicetune.params.languages import CHARACTERS

if TYPE_CHECKING:
    from voicetune import model


@dataclass(frozen=True)
class Family:
    """package: of its code. bases: the names for `base` in params.yaml that this family makes."""

    package: str
    bases: tuple[str, ...] = ()


TABLE = {"xtts": Family("voicetune.xtts", bases=("tiny", "xtts_v2"))}
"""By the `model` of a folder's config.json."""
USUAL = "xtts"
"""The family of a folder whose config.json is damaged or names no family of the table. It then reports the fault."""
FACTS = "voicetune.json"
"""The file of a model folder in which voicetune writes what it knows of the model."""
PARTS = {
    "limits": ("CHARACTERS",),
    "layout": ("SPEAKERS", "weights_file", "files", "count_bytes"),
    "folder": ("read_facts", "usual_decoding", "speakers"),
    "origins": ("unfold",),
    "encoding": ("open_encoder",),
    "training": ("open_model", "close"),
    "speaking": ("open_speech",),
    "export": ("CARD", "export"),
    "hub": ("downloads",),
    "languages": ("extend",),
}
"""The modules of a package and what each must have, see `model.py`. Each has a function of the same name below."""


def of(folder: Path) -> Family:
    """The family of a model folder, by its config.json."""
    try:
        known = json.loads(files.read_text(folder / "config.json", "-"))
    except Exception:  # whatever is wrong with the file, the family that opens it says so in one sentence
        known = {}
    name = known.get("model") if isinstance(known, dict) else None
    return TABLE.get(name if isinstance(name, str) else USUAL, TABLE[USUAL])


def of_base(base: str) -> Family:
    """The family of a base as params.yaml names it: a name, a folder, or a checkpoint in a folder."""
    named = [family for family in TABLE.values() if base in family.bases]
    return named[0] if named else of(Path(base) if os.path.isdir(base) else Path(base).parent)


def limits() -> "list[model.Limits]":
    return [_part(family, "limits") for family in TABLE.values()]


def layout(folder: Path) -> "model.Layout":
    return _part(of(folder), "layout")


def folder(folder: Path) -> "model.Folder":
    return _part(of(folder), "folder")


def origins(base: str) -> "model.Origins":
    return _part(of_base(base), "origins")


def encoding(folder: Path) -> "model.Encoding":
    return _part(of(folder), "encoding")


def training(folder: Path) -> "model.Training":
    return _part(of(folder), "training")


def speaking(folder: Path) -> "model.Speaking":
    return _part(of(folder), "speaking")


def export(folder: Path) -> "model.Export":
    return _part(of(folder), "export")


def hub() -> "list[model.Hub]":
    return [_part(family, "hub") for family in TABLE.values()]


def languages(folder: Path) -> "model.Languages":
    return _part(of(folder), "languages")


def most_characters(language: str) -> int:
    """The most characters of a text that any model can speak in this language."""
    return max(one.CHARACTERS.get(language, 0) for one in limits()) or CHARACTERS


def _part(family: Family, name: str) -> Any:
    """Import a module of a family.

    Raises:
        UserError: the package has no such module, or the module lacks what PARTS lists.
    """
    module, remedy = f"{family.package}.{name}", "write it as docs/extending.md shows"
    try:
        part = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, family.package):
            raise  # a library that the module imports
        raise UserError(f"the model package {family.package} has no module `{name}`; {remedy}.") from None
    if lacking := [needed for needed in PARTS[name] if not hasattr(part, needed)]:
        raise UserError(f"{part.__file__} has no `{lacking[0]}`; {remedy}.")
    return part
