"""Speaks one text for one client: its parts go into the queue, and their sounds come out one by one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from starlette.requests import Request

from voicetune.errors import UserError
from voicetune.service import sounds
from voicetune.service.queue import Job, Queue
from voicetune.service.refusals import Refusal
from voicetune.service.voices import Served
from voicetune.speech import say
from voicetune.speech.drawing import Drawn
from voicetune.speech.parts import Part
from voicetune.speech.voice import Line

T = TypeVar("T")


class Splitting:
    """Splits texts into parts, one text of each client at a time.

    A text of digits alone takes a second. It has threads of its own, so that such texts do not keep sounds from being
    encoded.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2, "splits")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def split(self, client: str, served: Served, line: Line) -> list[Part]:
        """Raises UserError: see `Opened.parts`."""
        async with self._turns.setdefault(client, asyncio.Lock()):
            return await asyncio.get_running_loop().run_in_executor(self._threads, served.opened.parts, line)


class Spoken:
    """A text that is being spoken.

    Args:
        marked: whether its sound gets the watermark.

    Raises:
        Refusal: too many texts wait.
    """

    def __init__(
        self, queue: Queue, client: str, served: Served, line: Line, seed: int, marked: bool = False, live: bool = False
    ):
        self._queue, self._line, self._marked = queue, line, marked
        self._parts: list[Part] = []
        self._came: asyncio.Queue[Drawn | np.ndarray | Exception | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(one: Drawn | np.ndarray | Exception | None) -> None:
            with suppress(RuntimeError):  # the loop is closed, because the service ends
                loop.call_soon_threadsafe(self._came.put_nowait, one)

        self._job = Job(client, served, seed, deliver, live)
        queue.add(self._job)

    async def begin(self, splitting: Splitting) -> int:
        """Split the text, and let its parts be spoken: how many there are.

        Raises:
            Refusal: the text cannot be spoken, or splitting it took too long.
        """
        try:
            async with asyncio.timeout(self._queue.limits.seconds):
                self._parts = await splitting.split(self._job.client, self._job.served, self._line)
        except TimeoutError:
            raise self._too_late() from None
        except UserError as error:
            raise Refusal(400, str(error), "cannot_be_spoken", param="input") from None
        self._queue.begin(self._job, [say.of_part(part, self._line) for part in self._parts])
        return len(self._parts)

    def cancel(self) -> None:
        """Drop the parts that have not begun."""
        self._queue.cancel(self._job)

    async def next(self) -> Drawn:
        """Wait for the sound of the next part.

        Raises:
            Refusal: it took too long, or the model said nothing.
        """
        one: Any = await self._wait()
        self._queue.take(self._job)
        if not one.sound.size:
            raise Refusal(500, "the model said nothing for a part of this text; try another seed.", "no_sound")
        return one

    async def next_piece(self) -> np.ndarray | None:
        """Wait for the next piece of a live text, as it is sent; None after the last piece of a part.

        Raises:
            Refusal: it took too long.
        """
        piece: Any = await self._wait()
        if piece is None:
            self._queue.take(self._job)
        return piece

    async def _wait(self) -> Any:
        try:
            one = await asyncio.wait_for(self._came.get(), self._queue.limits.seconds)
        except TimeoutError:
            raise self._too_late() from None
        if isinstance(one, Exception):
            raise RuntimeError("a part could not be spoken") from one
        return one

    def _too_late(self) -> Refusal:
        seconds = self._queue.limits.seconds
        sentence = f"no sound was made within {seconds:g} seconds; try again when fewer texts wait."
        return Refusal(504, sentence, "timeout", retry_after=seconds)

    def whole(self, drawn: Sequence[Drawn], format: str) -> bytes:
        """Encode all parts as one file."""
        return sounds.encode(np.concatenate([self._finish(i, one) for i, one in enumerate(drawn)]), format)

    async def stream(self, first: Drawn, format: str) -> AsyncIterator[bytes]:
        """Encode each part as soon as it is spoken. What has not begun when the client goes is dropped."""
        file = sounds.Stream(format)
        try:
            for number in range(len(self._parts)):
                drawn = await self.next() if number else first
                yield await asyncio.to_thread(lambda i, one: file.add(self._finish(i, one)), number, drawn)
            yield file.end()
        finally:
            self.cancel()

    async def stream_live(self, first: np.ndarray | None, format: str) -> AsyncIterator[bytes]:
        """Encode each piece of a live text as soon as it is spoken. It is neither trimmed nor levelled."""
        file = sounds.Stream(format)
        try:
            for number, part in enumerate(self._parts):
                piece = await self.next_piece() if number else first
                while piece is not None:
                    yield file.add(piece)
                    piece = await self.next_piece()
                if number < len(self._parts) - 1:
                    yield file.add(say.pause(part.ends_at, sounds.RATE, self._line.speed))
            yield file.end()
        finally:
            self.cancel()

    def _finish(self, number: int, drawn: Drawn) -> np.ndarray:
        """A part's sound as it is sent, (samples,) float32 at `sounds.RATE`, after the pause that precedes it."""
        sound = sounds.finish(drawn.sound, self._job.served.opened.rate, self._marked)
        if not number:
            return sound
        return np.concatenate([say.pause(self._parts[number - 1].ends_at, sounds.RATE, self._line.speed), sound])


async def unless_gone(request: Request, awaited: Awaitable[T]) -> T:
    """Wait for something, but no longer than the client does.

    Raises:
        Refusal: the client closed the connection. Nobody reads it, and it is counted under the status 499.
    """
    made, gone = asyncio.ensure_future(awaited), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({made, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not made.done():
            raise Refusal(499, "the client closed the connection.", "client_gone")
        return made.result()
    finally:
        made.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
