"""Reads the lists of GPT-SoVITS: files *.list with lines `path|speaker|language|text`.

Source: https://github.com/RVC-Boss/GPT-SoVITS, README, "Dataset Format".
"""

from pathlib import Path, PurePosixPath
from typing import Literal

from voicetune.data.readers import encodings, lists
from voicetune.data.readers.source import Source, fault_of, fault_of_language, utterance
from voicetune.data.utterance import Recording, Utterance
from voicetune.errors import UserError

_FORM = "path|speaker|language|text"
_NOBODY = ("slicer_opt", "denoise_opt")  # folders of GPT-SoVITS, which its transcription writes as the speaker


class GPTSoVITSSource(Source):
    """A folder with lists of GPT-SoVITS. `speaker` is who speaks where a line names nobody, or `slicer_opt`."""

    reader: Literal["gpt_sovits"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        names = [path.name for path in _lists(folder) if encodings.first_line(path).count("|") == 3]
        return f"GPT-SoVITS ({', '.join(names)} with {_FORM})" if names else ""


def read(source: GPTSoVITSSource) -> list[Utterance]:
    """One utterance for each line.

    Raises:
        UserError: there is no list; it is empty; a line has other fields; a recording is listed twice; or a name cannot
            be used.
    """
    folder = Path(source.path)
    found = _lists(folder)
    if not found:
        raise UserError(f"{folder} holds no .list file; write one with lines {_FORM}.")
    utterances = []
    for one in found:
        first: dict[str, str] = {}
        lists.check_inside(one, folder)
        for at, line in lists.lines(one, f"write it with lines {_FORM}", source.language):
            fields = [field.strip() for field in line.split("|")]
            if len(fields) != 4:
                raise UserError(f"{at} has {len(fields)} fields; write it as {_FORM}.")
            name, named, language, text = fields
            speaker = "" if named in _NOBODY else lists.speaker(named)
            path = _path(folder, name)
            id = lists.id_of(path, folder)
            lists.check_row(id, speaker, source.name, at, first)
            fault = fault_of_language(language, source) or fault_of(path, folder)
            utterances.append(utterance(source, id, text, Recording(path), fault, speaker))
    return utterances


def _path(folder: Path, name: str) -> Path:
    """Where a recording is. A list may give its path on the machine that wrote the list, or from GPT-SoVITS's folder.
    If nothing is at the path, a recording of the same name in the source's folder is taken, as GPT-SoVITS does."""
    path = lists.recording(folder, name)
    if not fault_of(path, folder):
        return path
    beside = lists.recording(folder, PurePosixPath(name.replace("\\", "/")).name)
    return beside if beside.exists() else path


def _lists(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.list"))
