"""What the service measures of itself, for Prometheus."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voicetune.service.refusals import Refusal
from voicetune.speech.drawing import Drawn

SPEECH = "/v1/audio/speech"
_LOG = logging.getLogger(__name__)
_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)


class Metrics:
    """Counters of one service. waiting: tells how many parts wait."""

    def __init__(self, waiting: Callable[[], int]):
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.answers = Counter(
            "voicetune_requests", "Requests for speech, by status; `incomplete` if not all was sent", ["status"],
            registry=registry,
        )  # fmt: skip
        self.first = Histogram(
            "voicetune_first_sound_seconds", "From a request to the sound of its first part", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._batches = Histogram("voicetune_batch_parts", "Parts that are spoken together", buckets=(1, 2, 4, 8, 16),
                                  registry=registry)  # fmt: skip
        self._draws = Counter("voicetune_draws", "Draws of parts", registry=registry)
        self._faults = Counter(
            "voicetune_faults", "Faults of parts: `found` in the first draw, `left` in the last", ["fault", "when"],
            registry=registry,
        )  # fmt: skip
        Gauge("voicetune_waiting_parts", "Parts that wait", registry=registry).set_function(waiting)

    def see(self, batch: Sequence[Drawn]) -> None:
        """Count what the checks found in a batch of parts."""
        self._batches.observe(len(batch))
        for one in batch:
            self._draws.inc(one.draws)
            for when, faults in (("found", one.found), ("left", one.left)):
                for fault in faults:
                    self._faults.labels(fault, when).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)


class Counted:
    """ASGI middleware that counts the answers to requests for speech."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != SPEECH:
            await self.app(scope, receive, send)
            return
        status, whole = 500, False

        async def noted(message: Message) -> None:
            nonlocal status, whole
            status = message.get("status", status)
            await send(message)
            whole = whole or (message["type"] == "http.response.body" and not message.get("more_body"))

        try:
            await self.app(scope, receive, noted)
        except asyncio.CancelledError:  # by the server, which would write it into the log as an error of the service
            _LOG.warning("a text was cut, because the service ends")
        except Exception as error:
            if not isinstance(error.__cause__, Refusal):
                whole = whole or status == 500  # the outermost handler answers
                raise
            # Starlette cannot send a refusal after the beginning of an answer
            _LOG.warning("a text was cut after its beginning was sent: %s", error.__cause__)
        finally:
            self.metrics.answers.labels(status if whole else "incomplete").inc()
