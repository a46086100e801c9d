"""Reads voices in Festvox's layout: etc/txt.done.data with lines `( id "text" )`, and recordings in wav/.

Source: http://festvox.org/bsv, for example the CMU ARCTIC voices.
"""

import re
from pathlib import Path
from typing import Literal

from voicetune.data.readers import lists
from voicetune.data.readers.source import Source, fault_of, nfc, utterance
from voicetune.data.utterance import Recording, Utterance
from voicetune.errors import UserError

_LIST = Path("etc/txt.done.data")
_LINE = re.compile(r'\(\s*(\S+)\s+"(.*)"\s*\)')


class FestvoxSource(Source):
    """A folder in Festvox's layout."""

    reader: Literal["festvox"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        return f"Festvox ({_LIST})" if (folder / _LIST).exists() else ""


def read(source: FestvoxSource) -> list[Utterance]:
    """One utterance for each line of etc/txt.done.data.

    Raises:
        UserError: the list is missing or empty, a line has another form, or an id is there twice or cannot be used.
    """
    folder = Path(source.path)
    lists.check_inside(folder / _LIST, folder)
    first: dict[str, str] = {}
    utterances = []
    create = 'create it with lines ( id "text" ), or correct the source\'s path in params.yaml'
    for at, line in lists.lines(folder / _LIST, create, source.language):
        if not (found := _LINE.fullmatch(line.strip())):
            raise UserError(f'{at} has another form; write it as ( id "text" ).')
        id, text = nfc(found[1]), re.sub(r"\\(.)", r"\1", found[2])
        lists.check_row(id, "", source.name, at, first)
        path = lists.recording(folder, f"wav/{id}.wav")
        utterances.append(utterance(source, id, text.strip(), Recording(path), fault_of(path, folder)))
    return utterances
