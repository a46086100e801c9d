"""The voices that are served. A new version of a model folder is opened beside the old one, and then takes its place.

Stage publish replaces models/voice by a rename, so the folder is whole at every moment that counts. Requests that are
being spoken keep the version that they began with. A new version is taken only if it opens and speaks a word. Else the
old one stays, and the log says why in one sentence.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voicetune import families
from voicetune.errors import UserError, shown
from voicetune.model import Speaker
from voicetune.service import sounds
from voicetune.service.refusals import Refusal
from voicetune.speech import drawing, say
from voicetune.speech.checking import Checker, Checks
from voicetune.speech.drawing import Drawn
from voicetune.speech.language_check import check_language
from voicetune.speech.parts import Part
from voicetune.speech.voice import Line, Voice

_LOG = logging.getLogger(__name__)
_EVERY = 2.0  # seconds between two looks at the folders
_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0  # seconds before a version that could not be opened is tried again
Version = tuple[tuple[str, int, int, int], ...]


class Opened:
    """One version of a model folder, open.

    Raises:
        UserError: the folder cannot be opened, or does not speak.
    """

    def __init__(self, folder: Path, device: str, checks: Checks):
        families.layout(folder).weights_file(folder)  # whose message names the folder, if that is missing
        self.voice, self._tries = Voice(folder, device), checks.tries
        self.language, self.rate = self.voice.language, self.voice.rate
        self._decoding = self.voice.decoding()
        self.speakers = self.voice.speakers()
        if not self.speakers:
            raise UserError(f"{folder} has no speakers; serve a published folder, such as models/voice.")
        self._checker = Checker(self.voice, checks, [self.language])
        # What is loaded late is loaded now, so that no client waits for it.
        self.draw([Line("Ok.", self.language)], [next(iter(self.speakers.values()))], [1])
        sounds.finish(np.ones(self.rate, np.float32), self.rate)

    def about(self) -> dict[str, str]:
        """What clients may know of the model."""
        licence = str(self.voice.facts.get("licence", ""))
        return {"language": self.language, "vocoder": self.voice.model.vocoder, "licence": licence}

    def check_language(self, language: str) -> None:
        """Raises UserError: see `language_check.check_language`."""
        check_language(self.voice, language)

    def parts(self, line: Line) -> list[Part]:
        """The parts that a line is spoken in, see `speech.say.parts`. The first one of a long line is short."""
        return say.parts(self.voice, line, soon=True)

    def draw(self, lines: Sequence[Line], speakers: Sequence[Speaker], seeds: Sequence[int]) -> list[Drawn]:
        """Speak parts and check them, see `speech.drawing.draw`."""
        return drawing.draw(self.voice, lines, speakers, self._decoding, seeds, self._checker, self._tries)

    @property
    def streams(self) -> bool:
        """Whether `stream` can be used. It does not resample, so the model's rate must be the service's."""
        return self.voice.model.streams and self.rate == sounds.RATE

    def stream(self, line: Line, speaker: Speaker, seed: int) -> Iterator[np.ndarray]:
        """Speak a part and yield its sound while its codes are drawn, without any check, see `Voice.stream`."""
        return self.voice.stream(line, speaker, self._decoding, seed)


@dataclass(frozen=True)
class Served:
    """A voice under its name: a speaker of an open model folder."""

    name: str
    opened: Opened
    speaker: Speaker


class Voices:
    """All voices that are served.

    Args:
        folders: each with its name, or None where the speakers' own names are taken. A folder with several speakers
            that has a name serves them as NAME-SPEAKER.

    Raises:
        UserError: a folder cannot be opened, or two voices have the same name.
    """

    def __init__(self, folders: Sequence[tuple[str | None, Path]], device: str, checks: Checks):
        self._folders, self._device, self._checks = folders, device, checks
        self._versions = [_version(folder) for _, folder in folders]
        self._opened = [Opened(folder, device, checks) for _, folder in folders]
        self._served = self._named(self._opened)
        self._failed = _Failed()
        self._stopped = threading.Event()

    def all(self) -> Mapping[str, Served]:
        """The voices by name, as they are now."""
        return self._served

    def find(self, name: str) -> Served:
        """Raises Refusal: there is no voice of this name."""
        if name not in self._served:
            known = ", ".join(self._served)
            raise Refusal(
                404, f"there is no voice '{shown(name[:60])}'; take one of {known}.", "voice_not_found", param="voice"
            )
        return self._served[name]

    def watch(self) -> None:
        """Look for new versions in a thread of its own, until `stop`.

        Not on a GPU of Apple: there, torch ends the process if two threads compute at once (pytorch#197805).
        """
        if self._device == "mps":
            _LOG.info("on a GPU of Apple, a new version of a voice is taken only when the service starts again")
            return
        threading.Thread(target=self._watch, name="watches", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def renew(self) -> None:
        """Open the folders that changed.

        What is damaged stays as it was, until it changes again. If another error came, such as that of a full GPU, it
        is tried again, after a pause that doubles each time.
        """
        for place, (_, folder) in enumerate(self._folders):
            version = _version(folder)
            if not version or version == self._versions[place] or not self._failed.may_try(version):
                continue
            time.sleep(_EVERY / 10)
            if version != _version(folder):
                continue  # it is being written
            self._versions[place] = version
            try:
                opened = Opened(folder, self._device, self._checks)
                if version != _version(folder):
                    continue  # it was replaced meanwhile, so the files that were read may not belong together
                every = [opened if i == place else one for i, one in enumerate(self._opened)]
                self._served, self._opened = self._named(every), every
                _LOG.info("%s: the new version speaks now", shown(folder))
            except UserError as error:
                _LOG.error("the new version is not taken, the old one goes on speaking: %s", shown(error))
            except Exception as error:  # a damaged file can raise anything, and so can a GPU without memory
                self._versions[place] = ()
                seconds = self._failed.wait(version)
                _LOG.error(
                    "%s: the new version cannot be opened (%s); the old one goes on speaking, and it is tried again in"
                    " %d s", shown(folder), shown(repr(error)), seconds,
                )  # fmt: skip

    def _watch(self) -> None:
        while not self._stopped.wait(_EVERY):
            self.renew()

    def _named(self, opened: Sequence[Opened]) -> dict[str, Served]:
        served: dict[str, Served] = {}
        for (name, folder), one in zip(self._folders, opened, strict=True):
            for speaker, latents in one.speakers.items():
                full = speaker if name is None else name if len(one.speakers) == 1 else f"{name}-{speaker}"
                if full in served:
                    raise UserError(
                        f"two voices have the name '{full}'; give {folder} another one: --voice NAME={folder}."
                    )
                served[full] = Served(full, one, latents)
        return served


class _Failed:
    """When a version that could not be opened may be tried again."""

    def __init__(self) -> None:
        self._known: dict[Version, tuple[float, float]] = {}  # the pause in seconds, and when it ends

    def may_try(self, version: Version) -> bool:
        return time.monotonic() >= self._known.get(version, (0.0, 0.0))[1]

    def wait(self, version: Version) -> float:
        """Begin the pause of a version; returns its seconds."""
        seconds = min(2 * self._known.get(version, (_PAUSE / 2, 0.0))[0], _LONGEST_PAUSE)
        self._known[version] = seconds, time.monotonic() + seconds
        return seconds


def _version(folder: Path) -> Version:
    """What changes with every new version of a folder; empty if the folder is missing or not whole."""
    try:
        layout = families.layout(folder)
        files = [*layout.files(folder), folder / layout.SPEAKERS, folder / families.FACTS]
        known = [(path.name, path.stat()) for path in files if path.exists()]
    except (UserError, OSError):
        return ()
    return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in known)
