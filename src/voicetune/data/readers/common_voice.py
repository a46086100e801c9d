"""Reads a language of Mozilla's Common Voice: validated.tsv (or train.tsv, dev.tsv and test.tsv), and clips/.

Source: https://commonvoice.mozilla.org, releases 1 to 23.
"""

from pathlib import Path
from typing import Literal

from voicetune.data.readers import encodings, lists, tables
from voicetune.data.readers.source import Source, fault_of, fault_of_language, utterance
from voicetune.data.utterance import Recording, Utterance
from voicetune.errors import UserError

_ALL, _PARTS = "validated.tsv", ("train.tsv", "dev.tsv", "test.tsv")
_UNCHECKED = "other.tsv"  # a delta release may have no other table
_NEEDED = ("client_id", "path", "sentence")


class CommonVoiceSource(Source):
    """A language of Common Voice. A speaker's name is the first 12 digits of the client's id."""

    reader: Literal["common_voice"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        found = _tables(folder) or [folder / _UNCHECKED]
        names = [path.name for path in found if "client_id" in encodings.first_line(path).split("\t")]
        return f"Common Voice ({', '.join(names)} and clips/)" if names and (folder / "clips").is_dir() else ""


def read(source: CommonVoiceSource) -> list[Utterance]:
    """One utterance for each row. validated.tsv has the rows of the other three, so these are read only without it.

    Raises:
        UserError: none of the tables is there; see `tables.rows`; a recording is listed twice; or a name is unusable.
    """
    folder = Path(source.path)
    found = _tables(folder)
    if not found and (folder / _UNCHECKED).exists():
        raise UserError(
            f"{folder} has {_UNCHECKED} and no {_ALL}: nobody has checked its clips; rename it to {_ALL} to read them."
        )
    if not found:
        raise UserError(f"{folder} holds no {_ALL}, and no {' or '.join(_PARTS)}; name the folder that has {_ALL}.")
    utterances = []
    for table in found:
        first: dict[str, str] = {}
        for at, row in tables.rows(table, "\t", _NEEDED, source):
            id, speaker = lists.stem(row["path"]), lists.speaker(row["client_id"])
            lists.check_row(id, speaker, source.name, at, first)
            path = lists.recording(folder, f"clips/{row['path']}")
            fault = fault_of_language(row.get("locale", ""), source) or fault_of(path, folder)
            utterances.append(utterance(source, id, row["sentence"], Recording(path), fault, speaker))
    return utterances


def _tables(folder: Path) -> list[Path]:
    names = [_ALL] if (folder / _ALL).exists() else _PARTS
    return [folder / name for name in names if (folder / name).exists()]
