"""Asks for an API key before anything else of a request is read."""

import hashlib
import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from voicetune.service.refusals import Refusal

_OPEN = ("/", "/healthz", "/openapi.json")  # addresses that need no key


class KeyCheck:
    """ASGI middleware that refuses a request without a key, and notes whose request it is.

    `client` of the request's state is the key's number, or the network address if no key is needed.

    Args:
        keys: a client must send one of them. Without keys, everybody is served.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]):
        self.app, self._keys = app, [_digest(key) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _OPEN:
            client = self._client(scope)
            if client is None:
                sentence = "the API key is missing or wrong; send it as `Authorization: Bearer KEY`."
                await Refusal(401, sentence, "invalid_api_key").answer()(scope, receive, send)
                return
            scope.setdefault("state", {})["client"] = client
        await self.app(scope, receive, send)

    def _client(self, scope: Scope) -> str | None:
        """Who asks; None if the key is missing or wrong."""
        if not self._keys:
            return scope["client"][0] if scope.get("client") else ""
        kind, _, sent = Headers(scope=scope).get("authorization", "").partition(" ")
        given = _digest(sent.strip() if kind.lower() == "bearer" else "")
        same = [hmac.compare_digest(given, key) for key in self._keys]  # all of them, so that the time says nothing
        return f"key {same.index(True)}" if any(same) else None


def _digest(key: str) -> bytes:
    """Keys of any length become bytes of one length, so that comparing them takes the same time."""
    return hashlib.sha256(key.encode()).digest()
