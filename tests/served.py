"""Voices that speak tones, and a server of them on a free port, for the tests of the service."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
import numpy as np

from voicetune.data import words
from voicetune.errors import UserError
from voicetune.service.queue import Limits, Queue
from voicetune.service.voices import Served, Voices
from voicetune.speech.drawing import Drawn
from voicetune.speech.parts import Part
from voicetune.speech.voice import Line

RATE = 22_050
LETTER = 0.02  # seconds of tone


class Tones:
    """Stands in for an open model folder: each sentence is a part, and a tone.

    gate: holds batches back, after the first `free` of them.
    """

    language, rate = "en", RATE

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.free = 0
        self.drawn: list[list[str]] = []  # the texts of each batch

    def about(self) -> dict[str, str]:
        return {"language": "en", "vocoder": "tones", "licence": "none"}

    def check_language(self, language: str) -> None:
        if language != "en":
            raise UserError(f"the model tones does not speak '{language}'; it speaks en.")

    def parts(self, line: Line) -> list[Part]:
        if fault := words.fault_of(line.text):
            raise UserError(f"there is nothing to say ({fault}); give a text with words.")
        return [Part(f"{one.strip()}.", "sentence") for one in line.text.split(".") if one.strip()]

    def draw(self, lines: Sequence[Line], speakers: Sequence, seeds: Sequence[int]) -> list[Drawn]:
        self.drawn.append([line.text for line in lines])
        if len(self.drawn) > self.free:
            self.gate.wait(20)
        if any("boom" in line.text for line in lines):
            raise ZeroDivisionError("boom")
        return [self._tone(line, seed) for line, seed in zip(lines, seeds, strict=True)]

    streams = True

    def stream(self, line: Line, speaker: object, seed: int) -> Iterator[np.ndarray]:
        """Three pieces for each part."""
        self.drawn.append([line.text])
        for number in range(3):
            self.gate.wait(20)
            if "boom" in line.text:
                raise ZeroDivisionError("boom")
            yield np.full(2400, 0.1 * number, np.float32)

    def _tone(self, line: Line, seed: int) -> Drawn:
        if "silent" in line.text:
            return Drawn(np.zeros(0, np.float32), ("says nothing",), ("says nothing",), 4, cut=False)
        times = np.arange(round(len(line.text) * LETTER / line.speed * RATE)) / RATE
        found = ("runs on",) if "babble" in line.text else ()
        return Drawn(
            0.3 * np.sin(2 * np.pi * (200 + seed) * times).astype(np.float32),
            found,
            (),
            1 + 3 * len(found),
            cut=bool(found),
        )


def voices_of(**opened: object) -> Voices:
    """Voices under these names, without a model folder."""
    voices = object.__new__(Voices)
    voices._served = {name: Served(name, one, {}) for name, one in opened.items()}
    return voices


@contextmanager
def server(
    voices: Voices, limits: Limits | None = None, keys: Sequence[str] = (), marked: bool = False, **names: object
) -> Iterator[tuple[str, Queue]]:
    """Serve on a free port of this machine: the address and the queue. names: see `app.create`."""
    import uvicorn

    from voicetune.service import app, command

    queue = Queue(limits or Limits())
    settings = command.configure(app.create(voices, queue, keys, marked, **names), queue.limits, drain=5)
    settings.port = 0
    running = uvicorn.Server(settings)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        wait_until(lambda: running.started)
        port = running.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", queue
    finally:
        running.should_exit = True
        thread.join()
        queue.stop(5)


def wait_until(true, seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.01)


def ask(url: str, text: str, headers: dict | None = None, **more) -> httpx.Response:
    body = {"model": "tts-1", "voice": "anna", "input": text, "response_format": "pcm", **more}
    return httpx.post(f"{url}/v1/audio/speech", json=body, headers=headers, timeout=60)
