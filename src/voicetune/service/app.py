"""The addresses of the service, see docs/serving.md."""

import asyncio
import time
from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.security import HTTPBearer

from voicetune import pages
from voicetune.errors import UserError
from voicetune.service import forms, refusals, sounds
from voicetune.service.forms import Refused, SpeechRequest
from voicetune.service.hosts import HostCheck
from voicetune.service.keys import KeyCheck
from voicetune.service.metrics import SPEECH, Counted, Metrics
from voicetune.service.queue import Queue
from voicetune.service.refusals import Refusal
from voicetune.service.speaking import Splitting, Spoken, unless_gone
from voicetune.service.voices import Served, Voices
from voicetune.speech.voice import Line

_TEMPLATES = Path(__file__).parent / "templates"
_PAGE_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",  # the rest stands in the page
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ESCAPED = 12  # bytes that JSON takes for a character, at most
_OTHER_FIELDS = 65_536  # bytes
_BEARER = HTTPBearer(auto_error=False)  # for the schema; `KeyCheck` looks at the key


def create(
    voices: Voices, queue: Queue, keys: Sequence[str] = (), marked: bool = False, any_name: bool = False,
    hosts: Collection[str] = (),
) -> FastAPI:  # fmt: skip
    """Make the application.

    Args:
        keys: a client must send one of them. Without keys, everybody is served, except pages of other sites.
        marked: whether all speech gets the watermark.
        any_name, hosts: see `HostCheck`. They have no effect if there are keys.
    """
    service = _Service(voices, queue, keys, marked)
    most = _OTHER_FIELDS + _ESCAPED * queue.limits.characters
    app = FastAPI(
        title="voicetune", version=version("voicetune"), docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.add_middleware(refusals.BodyLimit, most=most, seconds=queue.limits.sending)
    app.add_middleware(KeyCheck, keys=keys)
    if not keys:
        app.add_middleware(HostCheck, any_name=any_name, allowed=hosts)
    app.add_middleware(Counted, metrics=service.metrics)
    refusals.handle_all(app)
    known: dict[str, Any] = {"dependencies": [Depends(_BEARER)]}
    sound = {media: {"schema": {"type": "string", "format": "binary"}} for media, _, _ in sounds.FORMATS.values()}
    app.add_api_route(
        SPEECH, service.speech, methods=["POST"], response_class=StreamingResponse,
        responses=_refused(400, 401, 404, 413, 429, 500, 503, 504) | {200: {"content": sound}}, **known,
    )  # fmt: skip
    app.add_api_route("/v1/voices", service.list_voices, responses=_refused(401), **known)
    app.add_api_route("/v1/audio/voices", service.list_voices, include_in_schema=False, **known)  # Open WebUI asks here
    app.add_api_route("/v1/audio/models", service.list_audio_models, include_in_schema=False, **known)  # and here
    app.add_api_route("/v1/models", service.list_models, responses=_refused(401), **known)
    text: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    app.add_api_route(
        "/metrics", service.show_metrics, response_class=Response, responses=_refused(401) | text, **known
    )
    app.add_api_route("/healthz", service.health, responses=_refused(503))
    app.add_api_route("/", service.show_page, response_class=HTMLResponse, include_in_schema=False)
    return app


class _Service:
    def __init__(self, voices: Voices, queue: Queue, keys: Sequence[str], marked: bool):
        self.voices, self.queue, self._marked, self._splitting = voices, queue, marked, Splitting()
        self.metrics = Metrics(queue.waiting)
        queue.seen = self.metrics.see
        shown = {"key": bool(keys), "characters": queue.limits.characters}
        self._page = pages.render(_TEMPLATES, "page", known=shown)

    async def speech(self, asked: SpeechRequest, request: Request) -> Response:
        """Speak a text. Each part is checked before it is sent."""
        begun = time.perf_counter()
        if asked.stream_format == "sse":
            sentence = "stream_format is sse, but only audio is known here; leave it out."
            raise Refusal(400, sentence, "unsupported", param="stream_format")
        served = self.voices.find(asked.voice)
        line = self._line(asked, served)
        if asked.live:
            return await self._speak_live(asked, request, served, line, begun)
        spoken = Spoken(self.queue, request.state.client, served, line, asked.seed, self._marked)
        try:
            parts = await unless_gone(request, spoken.begin(self._splitting))
            whole = asked.whole or parts == 1
            drawn = [await unless_gone(request, spoken.next())]
            self.metrics.first.observe(time.perf_counter() - begun)
            for _ in range(1, parts if whole else 1):
                drawn.append(await unless_gone(request, spoken.next()))
        except BaseException:
            spoken.cancel()
            raise
        media = sounds.FORMATS[asked.response_format][0]
        headers = forms.found(drawn if whole else None, parts, self._marked)
        if whole:
            data = await asyncio.to_thread(spoken.whole, drawn, asked.response_format)
            return Response(data, media_type=media, headers=headers)
        return StreamingResponse(spoken.stream(drawn[0], asked.response_format), media_type=media, headers=headers)

    async def _speak_live(
        self, asked: SpeechRequest, request: Request, served: Served, line: Line, begun: float
    ) -> Response:
        """Speak a text and send its sound while it is drawn. The answer says that nothing was checked."""
        if asked.whole or self._marked or not served.opened.streams:
            sentence = f"the voice {served.name} cannot be sent live: its vocoder is not HiFi-GAN; leave `live` out."
            if asked.whole:
                sentence = "live sends a text while it is drawn, and whole after it; leave one of them out."
            elif self._marked:
                sentence = "this service adds a watermark to each part, which needs the whole part; leave `live` out."
            raise Refusal(400, sentence, "unsupported", param="live")
        spoken = Spoken(self.queue, request.state.client, served, line, asked.seed, live=True)
        try:
            parts = await unless_gone(request, spoken.begin(self._splitting))
            first = await unless_gone(request, spoken.next_piece())
        except BaseException:
            spoken.cancel()
            raise
        self.metrics.first.observe(time.perf_counter() - begun)
        headers = forms.found(None, parts, self._marked) | {"X-Voicetune-Checked": "no"}
        media = sounds.FORMATS[asked.response_format][0]
        return StreamingResponse(spoken.stream_live(first, asked.response_format), media_type=media, headers=headers)

    def _line(self, asked: SpeechRequest, served: Served) -> Line:
        """The line to speak.

        Raises:
            Refusal: the text is too long, or the voice does not speak the language.
        """
        most = self.queue.limits.characters
        if len(asked.input) > most:
            sentence = f"the text has {len(asked.input)} characters, and {most} are allowed; send it in pieces."
            raise Refusal(413, sentence, "text_too_long", param="input")
        language = asked.language or served.opened.language
        try:
            served.opened.check_language(language)
        except UserError as error:
            raise Refusal(400, str(error), "language_not_spoken", param="language") from None
        return Line(asked.input, language, asked.speed)

    async def list_voices(self) -> dict[str, Any]:
        """The voices that are served."""
        return {"voices": [forms.voice(served) for served in self.voices.all().values()]}

    async def list_models(self) -> dict[str, Any]:
        """One model, for programs that ask."""
        return forms.models()

    async def list_audio_models(self) -> dict[str, Any]:
        """The same model as Open WebUI reads it."""
        return {"models": forms.models()["data"]}

    async def health(self) -> dict[str, str]:
        """Whether the service takes requests."""
        if self.queue.draining:
            raise Refusal(503, "the service is being stopped.", "stopping", retry_after=10)
        return {"status": "ok"}

    async def show_metrics(self) -> Response:
        """Figures for Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def show_page(self) -> Response:
        return HTMLResponse(self._page, headers=_PAGE_HEADERS)


def _refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Refused} for status in statuses}
