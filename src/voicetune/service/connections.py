"""Connections that wait for a client only so long.

uvicorn lets a client take any time to send a request, and to take an answer. Here, both have a limit. When too many
connections are open, the one that has been without a request for longest makes room for the next.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from voicetune.service.queue import Limits
from voicetune.service.refusals import Refusal

_FULL = "too many connections are open, and each has a request; try again later."


class Connection(H11Protocol):
    """A connection. A request that is being answered has its own limits, see `refusals.BodyLimit` and `Queue`."""

    def __init__(self, limits: Limits, **given: Any):
        super().__init__(**given)
        self._limits = limits
        self._requested: asyncio.TimerHandle | None = None  # until a request must have come
        self._taken: asyncio.TimerHandle | None = None  # until the client must have taken some of an answer
        self._unsent = 0  # bytes, when the client was looked at
        self._idle_since = self.loop.time()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # `pause_writing` is then called as soon as a byte is not taken
        self._expect_request()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_request()

    def on_response_complete(self) -> None:
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._taken = self.loop.call_later(self._limits.taking, self._look)

    def resume_writing(self) -> None:
        super().resume_writing()
        _stop(self._taken)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        _stop(self._requested)
        _stop(self._taken)

    def _expect_request(self) -> None:
        """Close the connection if no request comes in time. A part of one does not prolong the time."""
        if not self.idle:
            _stop(self._requested)
            self._requested = None
        elif self._requested is None:
            self._requested = self.loop.call_later(self._limits.sending, self.transport.abort)

    def _look(self) -> None:
        """Close the connection if the client has taken nothing since the last look."""
        unsent = self.transport.get_write_buffer_size()
        if unsent >= self._unsent:
            self.transport.abort()
            return
        self._unsent = unsent
        self._taken = self.loop.call_later(self._limits.taking, self._look)

    def _make_room(self) -> None:
        """If too many connections are open, close one without a request; if each has one, refuse the next."""
        every = [one for one in self.connections if isinstance(one, Connection) and not one.transport.is_closing()]
        if len(every) <= self._limits.connections:
            return
        if idle := [one for one in every if one.idle and one is not self]:
            min(idle, key=lambda one: one._idle_since).transport.abort()
            return
        refusal = Refusal(503, _FULL, "overloaded", retry_after=5)
        refusal.headers["Connection"] = "close"
        self.app = refusal.answer()


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer:
        timer.cancel()
