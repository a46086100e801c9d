"""Reads an audiofolder of Hugging Face: metadata.csv or metadata.jsonl with file_name and a text, beside the sounds.

Source: https://huggingface.co/docs/datasets/audio_dataset.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from voicetune.data.readers import encodings, lists, tables
from voicetune.data.readers.source import Source, fault_of, fault_of_language, utterance
from voicetune.data.utterance import Recording, Utterance
from voicetune.errors import UserError

_NAMES = ("metadata.csv", "metadata.jsonl")


class AudioFolderSource(Source):
    """An audiofolder. `speaker` is who speaks where a row names nobody."""

    reader: Literal["audiofolder"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        found = [path for path in _lists(folder) if "file_name" in encodings.first_line(path)]
        names = " and ".join(str(path.relative_to(folder)) for path in found)
        return f"an audiofolder of Hugging Face ({names} with file_name)" if names else ""


def read(source: AudioFolderSource) -> list[Utterance]:
    """One utterance for each row of the folder's list, and of the lists in its folders, such as train/ and test/.

    Raises:
        UserError: there is no list; it has no file_name or no text; see `tables`; a recording is listed
            twice; or a name cannot be used.
    """
    folder = Path(source.path)
    found = _lists(folder)
    if not found:
        raise UserError(f"{folder} holds no {' or '.join(_NAMES)}; create one with file_name and text for each clip.")
    utterances = []
    for one in found:
        first: dict[str, str] = {}
        for at, row in _rows(one, source):
            path = lists.recording(one.parent, tables.text_of(row, ("file_name",), at))
            id = lists.id_of(path, folder)
            speaker = lists.speaker(tables.text_of(row, tables.SPEAKER, at))
            lists.check_row(id, speaker, source.name, at, first)
            language = tables.text_of(row, tables.LANGUAGE, at)
            fault = fault_of_language(language, source) or fault_of(path, folder)
            text = tables.text_of(row, tables.TEXT, at)
            utterances.append(utterance(source, id, text, Recording(path), fault, speaker))
    return utterances


def _lists(folder: Path) -> list[Path]:
    places = [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]
    return [place / name for place in places for name in _NAMES if (place / name).exists()]


def _rows(path: Path, source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    for at, row in (
        tables.rows(path, ",", ("file_name",), source) if path.suffix == ".csv" else tables.objects(path, source)
    ):
        if not row.get("file_name"):
            raise UserError(f"{at} has no file_name; write the path of its recording there.")
        if not set(tables.TEXT) & set(row):
            raise UserError(f"{at} has no text under {', '.join(tables.TEXT[:-1])} or {tables.TEXT[-1]}; name it so.")
        yield at, row
