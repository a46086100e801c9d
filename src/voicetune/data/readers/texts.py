"""Reads a folder of sound files, each with its text in a file of the same name: a.wav and a.txt (or a.lab).

Folders in it are read too. They do not name speakers: nobody can tell what their names mean.
"""

from pathlib import Path
from typing import Literal

from voicetune.data.readers import encodings, lists
from voicetune.data.readers.source import Source, fault_of, nfc, utterance
from voicetune.data.utterance import Recording, Utterance
from voicetune.errors import UserError

_TEXTS = (".txt", ".lab")  # in order of preference


class TextsSource(Source):
    """A folder of sounds and texts of the same names."""

    reader: Literal["texts"]

    @classmethod
    def layout(cls, folder: Path) -> str:
        found = lists.walk(folder)
        written = _texts(found)
        sound = next((path for stem, path in lists.sounds(found).items() if stem in written), None)
        return f"sounds with texts of the same names (such as {sound.name})" if sound else ""


def read(source: TextsSource) -> list[Utterance]:
    """One utterance for each sound, and for each text without a sound.

    Raises:
        UserError: the name of a file cannot be used.
    """
    folder = Path(source.path)
    found = lists.walk(folder)
    sounds, written = lists.sounds(found), _texts(found)
    utterances = []
    for stem in sorted(sounds.keys() | written.keys()):
        path = sounds.get(stem, Path(f"{stem}.wav"))
        id = lists.id_of(Path(f"{stem}.wav"), folder)
        lists.check_id(id, source.name, str(path))
        text, fault = read_text(written.get(stem, Path(f"{stem}{_TEXTS[0]}")), source)
        utterances.append(utterance(source, id, text, Recording(path), fault_of(path, folder) or fault))
    return utterances


def read_text(path: Path, source: Source) -> tuple[str, str]:
    """Read the text of one clip.

    Returns:
        the text on one line, and why it cannot be used (empty if it can).
    """
    if not path.exists():
        return "", f"missing text: {path}"
    try:
        lists.check_inside(path, Path(source.path))
        return " ".join(encodings.read_text(path, "write the text there", source.language, each=True).split()), ""
    except UserError as error:
        return "", f"unreadable text: {error}"


def _texts(paths: list[Path]) -> dict[Path, Path]:
    """The texts among these, by their paths in NFC without extension."""
    found = [path for ending in reversed(_TEXTS) for path in paths if path.suffix.lower() == ending]
    return {Path(nfc(str(path.with_suffix("")))): path for path in found}
