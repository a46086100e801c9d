"""The command `voicetune serve`: opens the voices, listens, and ends when it gets SIGTERM."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from voicetune.errors import UserError, quoted, shown
from voicetune.kept import voices as kept_voices
from voicetune.service import app
from voicetune.service.connections import Connection
from voicetune.service.hosts import is_loopback
from voicetune.service.queue import Limits, Queue
from voicetune.service.voices import Voices
from voicetune.speech import watermark
from voicetune.speech.checking import Checks

KEYS = "VOICETUNE_API_KEY"
_SHORTEST_KEY = 16  # characters
_UNSENT = 262_144  # bytes that the system holds for a client; a client that takes nothing is noticed after so many
_LOG = logging.getLogger(__name__)


class Shown(logging.Formatter):
    """Writes what came from outside so that it neither controls a terminal nor looks like a line of the log."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shown(super().formatMessage(record).rstrip())

    def formatException(self, ei: Any) -> str:
        return "\n".join(f"  {shown(line)}" for line in super().formatException(ei).split("\n"))


class _Server(uvicorn.Server):
    """uvicorn's server, which lets the queue refuse new texts as soon as a signal comes."""

    def __init__(self, config: uvicorn.Config, queue: Queue):
        super().__init__(config)
        self._queue = queue

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._queue.draining = True
        super().handle_exit(sig, frame)


def run(
    folders: Sequence[str],
    host: str,
    port: int,
    device: str,
    checks: Checks,
    limits: Limits,
    drain: float,
    marked: bool,
    hosts: Sequence[str],
) -> None:
    """Serve until a signal comes, then speak what has begun, for at most `drain` seconds, and end the process.

    Args:
        folders: each NAME=FOLDER, FOLDER, or the name of a kept voice.
        marked: whether all speech gets the watermark.
        hosts: names under which programs and browsers ask for a service that needs no key.

    Raises:
        UserError: a folder cannot be opened, an API key cannot be used, the address cannot be used, or the watermark's
            package is missing.
    """
    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(Shown("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[log])
    keys = read_keys(os.environ.get(KEYS, ""))
    if marked:
        watermark.open_networks()
    listening = _listen(host, port)
    if not keys and not is_loopback(host):
        _LOG.warning("anybody who reaches %s can speak with these voices; set %s (docs/serving.md)", host, KEYS)
    voices = Voices([_named(one) for one in folders], device, checks)
    queue = Queue(limits)
    voices.watch()
    any_name = not is_loopback(host) and not hosts
    application = app.create(voices, queue, keys, marked, any_name, hosts)
    _LOG.info(
        "http://%s:%d serves %s",
        f"[{host}]" if ":" in host else host,
        listening.getsockname()[1],
        ", ".join(voices.all()),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again when it has ended
    try:
        _Server(configure(application, limits, drain), queue).run(sockets=[listening])
    finally:
        voices.stop()
        queue.stop(seconds=5)
    sys.stderr.flush()
    os._exit(0)  # what still computes in a thread would make torch abort a normal exit


# Windows' own loop does not tell how much of an answer a client has taken, which `Connection` looks at.
_LOOP = "asyncio:SelectorEventLoop" if sys.platform == "win32" else "auto"


def configure(application: FastAPI, limits: Limits, drain: float) -> uvicorn.Config:
    """The settings of the web server. drain: seconds for what has begun when a signal comes."""
    connection: Any = partial(Connection, limits)
    return uvicorn.Config(
        application, http=connection, ws="none", timeout_graceful_shutdown=max(1, round(drain)), server_header=False,
        log_config=None, timeout_keep_alive=round(limits.sending), loop=_LOOP,
    )  # fmt: skip


def read_keys(text: str) -> list[str]:
    """The API keys of the environment variable: words between white space.

    Raises:
        UserError: one is so short that it can be guessed, or has characters that clients cannot send.
    """
    keys = text.split()
    if not all(key.isascii() and key.isprintable() for key in keys):
        raise UserError(f"{KEYS} has a key with other characters than ASCII's; `openssl rand -hex 16` makes one.")
    if any(len(key) < _SHORTEST_KEY for key in keys):
        raise UserError(f"{KEYS} has a key of fewer than {_SHORTEST_KEY} characters; `openssl rand -hex 16` makes one.")
    return keys


def _named(given: str) -> tuple[str | None, Path]:
    """The name and the folder of a voice as --voice gives it.

    Raises:
        UserError: a part of NAME=FOLDER is empty, a plain name is neither a kept voice nor a folder, or the folder of a
            kept voice is another than its .dvc file names.
    """
    name, equals, folder = given.partition("=")
    if not name or (equals and not folder):
        raise UserError(f"--voice is {quoted(given)}, but should be a kept voice, FOLDER or NAME=FOLDER.")
    is_path = os.path.dirname(given) or os.path.exists(given)
    if not equals and (given in kept_voices.names() or not is_path):
        return given, kept_voices.find(given)
    path = Path(folder if equals else given)
    kept_voices.check(path)
    return name if equals else None, path


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=512)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT)
        return listening
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}:{port} cannot be listened on ({error}); choose another --host or --port.") from None
