"""Why a request gets no sound: one sentence with an HTTP status, in the form of OpenAI's errors."""

import asyncio
import math
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import HTTPException as FastAPIException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SENTENCES = {  # for errors of the web framework, by status
    404: "there is no such address; /openapi.json lists those that there are.",
    405: "this address does not take this method; /openapi.json lists what it takes.",
    408: "the body of the request did not come in time; send it faster.",
    413: "the body of the request is too large; send a shorter text.",
}


class Refusal(Exception):
    """A request that is refused.

    Args:
        status: of the HTTP answer.
        message: one sentence that names the remedy.
        code: a short name for programs.
        param: the field of the request that is at fault.
        retry_after: seconds after which the same request may be taken.
    """

    def __init__(
        self, status: int, message: str, code: str, *, param: str | None = None, retry_after: float | None = None
    ):
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.headers = {} if retry_after is None else {"Retry-After": str(max(1, math.ceil(retry_after)))}

    def answer(self) -> Response:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return JSONResponse({"error": error}, self.status, self.headers)


class BodyLimit:
    """ASGI middleware that refuses a body of more than `most` bytes, and one that takes more than `seconds`.

    FastAPI's own limit of the bytes does not answer in this form.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float):
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        size = int(announced) if announced.isdecimal() else 0
        came, ends, more = 0, asyncio.get_running_loop().time() + self.seconds, True

        async def counted() -> Message:
            nonlocal came, more
            if size > self.most:
                raise FastAPIException(413)
            try:
                async with asyncio.timeout_at(ends if more else None):
                    message = await receive()
            except TimeoutError:
                raise FastAPIException(408, headers={"Connection": "close"}) from None
            more = message.get("more_body", False)
            came += len(message.get("body", b""))
            if came > self.most:
                raise FastAPIException(413)
            return message

        await self.app(scope, counted, send)


def handle_all(app: FastAPI) -> None:
    """Give every error of an application this form."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _failed)
    app.add_exception_handler(Exception, _unexpected)


async def _refused(_: Request, error: Any) -> Response:
    return error.answer()


async def _invalid(_: Request, error: Any) -> Response:
    """A field at fault. OpenAI answers 400, where FastAPI would answer 422."""
    first = error.errors()[0]
    fields = [one for one in first["loc"] if isinstance(one, str) and one != "body"]
    if first["type"] == "json_invalid" or not fields:
        sentence = "the body is no JSON object, or its Content-Type is not application/json; correct it."
        return Refusal(400, sentence, "invalid_request").answer()
    fault = first["msg"][:1].lower() + first["msg"][1:]
    return Refusal(400, f"{fields[0]} is refused: {fault}; correct it.", "invalid_request", param=fields[0]).answer()


async def _failed(_: Request, error: Any) -> Response:
    refusal = Refusal(error.status_code, _SENTENCES.get(error.status_code, f"{error.detail}."), "invalid_request")
    refusal.headers = dict(error.headers or {})
    return refusal.answer()


async def _unexpected(_: Request, error: Exception) -> Response:
    """A fault of the service. The server writes the error into its log."""
    return Refusal(500, "the service failed; its log says why.", "internal_error").answer()
