"""The command `voicetune serve`: opens the voices, listens, and ends when it gets SIGTERM."""

import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from voicetune.errors import UserError
from voicetune.kept import voices as kept_voices
from voicetune.service import app
from voicetune.service.queue import Limits, Queue
from voicetune.service.voices import Voices
from voicetune.speech import watermark
from voicetune.speech.checking import Checks

KEYS = "VOICETUNE_API_KEY"
_SHORTEST_KEY = 16  # characters
_LOG = logging.getLogger(__name__)


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
) -> None:
    """Serve until a signal comes, then speak what has begun, for at most `drain` seconds.

    Args:
        folders: each NAME=FOLDER, FOLDER, or the name of a kept voice.
        marked: whether all speech gets the watermark.

    Raises:
        UserError: a folder cannot be opened, an API key is too short, the address cannot be used, or the watermark's
            package is missing.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    keys = read_keys(os.environ.get(KEYS, ""))
    if marked:
        watermark.open_networks()
    listening = _listen(host, port)
    if not keys and not is_loopback(host):
        _LOG.warning("anybody who reaches %s can speak with these voices; set %s (docs/serving.md)", host, KEYS)
    voices = Voices([_named(one) for one in folders], device, checks)
    queue = Queue(limits)
    voices.watch()
    settings = uvicorn.Config(
        app.create(voices, queue, keys, marked), timeout_graceful_shutdown=max(1, round(drain)), server_header=False,
        log_config=None,
    )  # fmt: skip
    _LOG.info("http://%s:%d serves %s", host, listening.getsockname()[1], ", ".join(voices.all()))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again when it has ended
    try:
        _Server(settings, queue).run(sockets=[listening])
    finally:
        voices.stop()
        queue.stop(seconds=5)


def read_keys(text: str) -> list[str]:
    """The API keys of the environment variable: words between white space.

    Raises:
        UserError: one is so short that it can be guessed.
    """
    keys = text.split()
    if any(len(key) < _SHORTEST_KEY for key in keys):
        raise UserError(f"{KEYS} has a key of fewer than {_SHORTEST_KEY} characters; `openssl rand -hex 16` makes one.")
    return keys


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _named(given: str) -> tuple[str | None, Path]:
    if given in kept_voices.names():
        return given, kept_voices.find(given)
    name, equals, folder = given.partition("=")
    return (name, Path(folder)) if equals else (None, Path(given))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}:{port} cannot be listened on ({error}); choose another --host or --port.") from None
