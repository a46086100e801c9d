"""Keeps web pages of other sites from speaking with a service that needs no API key.

A browser reaches this machine, and runs the pages of any site. Such a page can send a request here. It can even read
the answer if its own name has come to mean 127.0.0.1 (DNS rebinding). The browser says which name it asks for (Host),
and which page sends a request (Origin, Sec-Fetch-Site). Other programs send no Origin.
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from voicetune.errors import quoted
from voicetune.service.refusals import Refusal

_READING = ("GET", "HEAD", "OPTIONS")  # no other page can read their answers, and they make no speech


class HostCheck:
    """ASGI middleware that refuses requests for unknown names, and those that pages of other sites send.

    Args:
        any_name: whether the service may be asked for under every name.
        allowed: names under which it may be asked for, beside those of this machine.
    """

    def __init__(self, app: ASGIApp, any_name: bool, allowed: Collection[str]):
        self.app, self._any, self._allowed = app, any_name, {name.lower() for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope["method"], Headers(scope=scope)) if scope["type"] == "http" else None
        await (refusal.answer() if refusal else self.app)(scope, receive, send)

    def _refusal(self, method: str, headers: Headers) -> Refusal | None:
        host, origin = headers.get("host", ""), headers.get("origin", "")
        name = name_of(host)
        if not (self._any or is_loopback(name) or name in self._allowed):
            sentence = f"the name {quoted(host)} is not one of this service; ask for localhost, or start it with "
            return Refusal(403, f"{sentence}--allow-host and the name.", "host_not_allowed")
        own = headers.get("sec-fetch-site", "none" if not origin else "") in ("none", "same-origin")
        if method in _READING or own or origin.partition("://")[2] == host or name_of(origin) in self._allowed:
            return None
        sentence = f"a page of {quoted(origin)} asks, and not one of this service; start it with --allow-host and the "
        return Refusal(403, f"{sentence}page's host name, or with an API key.", "origin_not_allowed")


def name_of(place: str) -> str:
    """The host name in `name:port` or in a URL, in small letters; empty if there is none."""
    try:
        return urlsplit(place if "://" in place else f"//{place}").hostname or ""
    except ValueError:
        return ""


def is_loopback(name: str) -> bool:
    """Whether a host name or an address means this machine, to no other one."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
