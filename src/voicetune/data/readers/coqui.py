"""Reads data sets in Coqui's own layout: tables `audio_file|text|speaker_name`, and recordings in wavs/.

The demo of XTTS's fine-tuning, AllTalk and xtts-finetune-webui write metadata_train.csv and metadata_eval.csv. All
tables of the folder with this header are read, because voicetune makes its own split.

Source: the formatter `coqui` in TTS/tts/datasets/formatters.py of coqui-tts 0.28.
"""

from pathlib import Path
from typing import Literal

from voicetune.data.readers import encodings, lists, tables
from voicetune.data.readers.source import Source, fault_of, utterance
from voicetune.data.utterance import Recording, Utterance
from voicetune.errors import UserError

_NEEDED = ("audio_file", "text")
_NOBODY = "coqui"  # what these programs write as the name of every speaker


class CoquiSource(Source):
    """A folder in Coqui's layout. `speaker` is who speaks if the table names nobody, or `coqui`."""

    reader: Literal["coqui"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        names = " and ".join(path.name for path in _tables(folder))
        return f"Coqui's layout ({names} with audio_file|text)" if names else ""


def read(source: CoquiSource) -> list[Utterance]:
    """One utterance for each row of the tables.

    Raises:
        UserError: no table has the header; see `tables.rows`; or a recording is listed twice, or has an unusable name.
    """
    folder = Path(source.path)
    found = _tables(folder)
    if not found:
        raise UserError(
            f"{folder} holds no table with the header audio_file|text|speaker_name; name it metadata_train.csv, or take"
            " another reader."
        )
    utterances = []
    for table in found:
        first: dict[str, str] = {}
        for at, row in tables.rows(table, "|", _NEEDED, source):
            path = lists.recording(folder, row["audio_file"])
            id = lists.id_of(path, folder)
            named = row.get("speaker_name", "")
            speaker = "" if named == _NOBODY else lists.speaker(named)
            lists.check_row(id, speaker, source.name, at, first)
            utterances.append(utterance(source, id, row["text"], Recording(path), fault_of(path, folder), speaker))
    return utterances


def _tables(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.csv")) if set(_NEEDED) <= set(encodings.first_line(path).split("|"))]
