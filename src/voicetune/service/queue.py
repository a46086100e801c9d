"""The texts that wait to be spoken. One thread speaks them, several parts at once, in an order that is fair.

A text is a job. Its parts are drawn in their order. Each client gets one part in turn, and so does each job of a
client, so a long text does not keep others waiting. Parts of several jobs are drawn together if they have the same
model, because a batch costs little more than one part. The first part of a job is drawn without its other parts, so it
is heard sooner. A part of a live job is drawn alone, because its sound is delivered while it is drawn. A part's sound
does not depend on the others (see `speech.drawing`), so equal seeds give equal sounds under any load.

A job waits from the moment when it comes, before its text is split into parts, so that the limits count it. If its
client takes the sound slowly, its next parts wait, too: at most 16 parts are held for it in memory.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from voicetune.service.refusals import Refusal
from voicetune.service.voices import Served
from voicetune.speech.drawing import Drawn
from voicetune.speech.voice import Line

_AT_ONCE = 16  # parts of a batch, two groups of `xtts.decode`
_AHEAD = 16  # parts of a job that are drawn before its client takes one
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What the service bears.

    characters: of a text. client: waiting jobs of one client. jobs: waiting jobs in all. seconds: for a part.
    connections: that are open. sending: seconds for the head of a request, and for its body. taking: seconds in which a
    client must take some of an answer.
    """

    characters: int = 4096
    client: int = 16
    jobs: int = 128
    seconds: float = 60.0
    connections: int = 200
    sending: float = 30.0
    taking: float = 60.0


@dataclass(eq=False)
class Job:
    """A text to be spoken.

    deliver: is called by the queue's thread with each part's sound in order, or with an error. It must return at once
    and raise nothing. live: a part's sound is delivered in pieces, (samples,) float32, and None after the last. lines:
    its parts, once they are known.
    """

    client: str
    served: Served
    seed: int
    deliver: Callable[[Drawn | np.ndarray | Exception | None], None]
    live: bool = False
    lines: Sequence[Line] = field(default=(), init=False)
    left: bool = field(default=False, init=False)
    begun: int = field(default=0, init=False)
    taken: int = field(default=0, init=False)

    @property
    def ready(self) -> bool:
        """Whether a part may be drawn now."""
        return self.begun < min(len(self.lines), self.taken + _AHEAD)


class Queue:
    """Speaks jobs in a thread of its own, until `stop`."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.draining = False
        self.seen: Callable[[Sequence[Drawn]], None] = lambda batch: None  # is told of each batch
        self._waiting: dict[str, deque[Job]] = {}  # by client, the first is next
        self._changed = threading.Condition()
        self._stopped = False
        self._seconds = 1.0  # of the last batch
        self._thread = threading.Thread(target=self._work, name="speaks", daemon=True)
        self._thread.start()

    def add(self, job: Job) -> None:
        """Let a job wait for its parts, and then for its turn.

        Raises:
            Refusal: the service ends, or too many jobs wait.
        """
        with self._changed:
            again = self._seconds * (1 + self._parts() / _AT_ONCE)
            if self.draining:
                raise Refusal(503, "the service is being stopped; try again.", "stopping", retry_after=10)
            if len(self._waiting.get(job.client, ())) >= self.limits.client:
                sentence = f"{self.limits.client} texts of yours wait already; send this one when some are spoken."
                raise Refusal(429, sentence, "rate_limit_exceeded", retry_after=again)
            if sum(map(len, self._waiting.values())) >= self.limits.jobs:
                sentence = f"{self.limits.jobs} texts wait already; try again later."
                raise Refusal(503, sentence, "overloaded", retry_after=again)
            self._waiting.setdefault(job.client, deque()).append(job)

    def begin(self, job: Job, lines: Sequence[Line]) -> None:
        """Say which parts a job has."""
        with self._changed:
            job.lines = lines
            self._changed.notify()

    def take(self, job: Job) -> None:
        """Note that a client took the sound of a part, so that another one may be drawn."""
        with self._changed:
            job.taken += 1
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Drop the parts of a job that have not begun. A live part ends after its next piece."""
        with self._changed:
            job.left = True
            self._leave(job)

    def waiting(self) -> int:
        """How many parts wait."""
        with self._changed:
            return self._parts()

    def stop(self, seconds: float) -> None:
        """Refuse what comes, drop what waits, and wait at most so long for the batch that is being drawn."""
        with self._changed:
            self.draining = self._stopped = True
            self._changed.notify()
        self._thread.join(seconds)

    def _parts(self) -> int:
        return sum(len(job.lines) - job.begun for jobs in self._waiting.values() for job in jobs)

    def _leave(self, job: Job) -> None:
        jobs = self._waiting.get(job.client, deque())
        if job in jobs:
            jobs.remove(job)
        if not jobs:
            self._waiting.pop(job.client, None)

    def _work(self) -> None:
        while batch := self._next():
            begun = time.perf_counter()
            if batch[0][0].live:
                self._speak_live(*batch[0])
                continue
            drawn = _draw(batch)
            self._seconds = time.perf_counter() - begun
            self.seen([one for one in drawn if isinstance(one, Drawn)])
            for (job, _), one in zip(batch, drawn, strict=True):
                if isinstance(one, Exception):
                    self.cancel(job)
                job.deliver(one)

    def _speak_live(self, job: Job, line: Line) -> None:
        try:
            for piece in job.served.opened.stream(line, job.served.speaker, job.seed):
                if job.left:
                    return
                job.deliver(piece)
            job.deliver(None)
        except Exception as error:
            self.cancel(job)
            job.deliver(error)

    def _next(self) -> list[tuple[Job, Line]]:
        """Wait for parts, and take the next ones; none if the queue is stopped."""
        with self._changed:
            while not self._stopped and not self._turn(()):
                self._changed.wait()
            batch: list[tuple[Job, Line]] = []
            while not self._stopped and len(batch) < _AT_ONCE and (job := self._turn(batch)):
                batch.append((job, job.lines[job.begun]))
                job.begun += 1
                jobs = self._waiting.pop(job.client)
                jobs.remove(job)
                if job.begun < len(job.lines):
                    jobs.append(job)
                if jobs:
                    self._waiting[job.client] = jobs  # last in turn now
            return batch

    def _turn(self, batch: Sequence[tuple[Job, Line]]) -> Job | None:
        """Whose turn it is: the first client's first job that is ready, and has the batch's model, and not its first
        part in it.

        Nobody's if the batch is a live job, which is never added to a batch.
        """
        if batch and batch[0][0].live:
            return None
        model = batch[0][0].served.opened if batch else None
        begins = {id(job) for job, _ in batch if job.begun == 1}
        every = (job for jobs in self._waiting.values() for job in jobs if not (batch and job.live))
        ready = (job for job in every if job.ready and id(job) not in begins)
        return next((job for job in ready if model in (None, job.served.opened)), None)


def _draw(batch: Sequence[tuple[Job, Line]]) -> list[Drawn | Exception]:
    """Draw a batch. If that fails, draw each part alone, so that a part at fault does not harm the others."""
    opened = batch[0][0].served.opened
    try:
        return list(
            opened.draw([line for _, line in batch], [j.served.speaker for j, _ in batch], [j.seed for j, _ in batch])
        )
    except Exception as error:
        if len(batch) == 1:
            return [error]
        _LOG.warning("a batch of %d parts failed (%s); each is drawn alone now", len(batch), type(error).__name__)
        return [one for part in batch for one in _draw([part])]
