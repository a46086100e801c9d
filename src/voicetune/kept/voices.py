"""The kept voices: their names and their folders. Imports no torch.

`voices/NAME` is a copy of the published model folder. It also has the figures that were measured of it, the parameters
that made it, and what `Kept` describes. DVC has the folder, so `voices/NAME.dvc` in git names its content.
"""

import os
import re
import sys
from pathlib import Path
from typing import Annotated

from pydantic import Field

from voicetune import families, files
from voicetune.errors import UserError, quoted, shown
from voicetune.kept import current
from voicetune.shapes import Record, read_json

FOLDER = Path("voices")
FACTS = "kept.json"
FIGURES = "figures.json"
"""metrics/compare/figures.json of the run that made the voice."""
PARAMS = "params.yaml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_TAKEN = re.compile(r"voice|con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # models/voice; devices of Windows


class Kept(Record):
    """kept.json. date: of the day on which the voice was kept. revision: the commit of git that has the run; None if
    none has it, or without git."""

    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    revision: str | None


def check_name(name: str) -> None:
    """Require a name that a folder can have on every system, and no file of DVC.

    Raises:
        UserError: it is another one.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{quoted(name)} cannot be the name of a voice; take letters A to Z, digits, hyphens and underscores, the"
            " first a letter or a digit, 60 at most."
        )
    if _TAKEN.fullmatch(name):
        raise UserError(f"'{name}' cannot be the name of a voice, because it has another meaning; take another name.")


def pointer(name: str) -> Path:
    """The file of DVC that names the content of a voice's folder."""
    return FOLDER / f"{name}.dvc"


def names() -> list[str]:
    """The names of the kept voices, also of those whose folder is not here."""
    here = {path.parent.name for path in FOLDER.glob(f"*/{FACTS}")}
    known = here | {path.stem for path in FOLDER.glob("*.dvc")}
    return sorted(name for name in known if _NAME.fullmatch(name))


def strangers() -> list[Path]:
    """Folders below `voices` that are no kept voices: put there by hand, or left by a `keep` that was killed."""
    known = names()
    return sorted(path for path in FOLDER.glob("*") if path.is_dir() and path.name not in known)


def without_pointer() -> list[str]:
    """The names of the kept voices whose .dvc file is not here: `keep` was killed, or another clone removed them."""
    return [name for name in names() if (FOLDER / name).is_dir() and not pointer(name).exists()]


def find(name: str) -> Path:
    """The folder of a kept voice. Warns on stderr if it may be another than the .dvc file names.

    Raises:
        UserError: there is no such voice, or its folder is not here, is not whole, or is another than the .dvc file
            names.
    """
    check_name(name)
    folder = FOLDER / name
    if name not in names():
        if folder.exists():
            raise UserError(
                f"{folder} has no {FACTS}, so `voicetune keep` did not make it; speak with it by --model {folder}, or"
                " move it away."
            )
        known = f"the kept voices are {', '.join(names())} (`voicetune voices` lists them)"
        none = "no voice is kept here yet (`voicetune keep NAME` keeps the published one)"
        raise UserError(f"there is no kept voice '{name}'; {known if names() else none}.")
    if not folder.is_dir():
        raise UserError(f"{folder} is not here; run `dvc checkout {pointer(name)}`, or `dvc pull` if that fails.")
    read(folder)
    if doubt := current.check(folder, pointer(name), (FACTS, FIGURES, families.FACTS)):
        print(shown(f"warning: {doubt}"), file=sys.stderr)
    return folder


def check(folder: Path) -> None:
    """Check a model's folder that was named by its path, if it is the folder of a kept voice.

    Raises:
        UserError: see `find`.
    """
    if os.path.abspath(folder.parent) == os.path.abspath(FOLDER) and folder.name in names():
        find(folder.name)


def read(folder: Path) -> Kept:
    """Read kept.json.

    Raises:
        UserError: it is missing or damaged.
    """
    path, again = folder / FACTS, restoring(folder)
    files.need(path, again)
    return Kept.model_validate(read_json(path, Kept, again))


def restoring(folder: Path) -> str:
    """The remedy for a damaged file of a kept voice."""
    return f"run `dvc checkout --force {pointer(folder.name)}`"
