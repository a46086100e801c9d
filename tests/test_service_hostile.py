"""`voicetune serve` beside clients that are slow, many, or mean harm."""

# ruff: noqa: E402 - without the web server's packages, this file is skipped before it imports what needs them

import io
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

for needed in ("fastapi", "uvicorn", "prometheus_client"):
    pytest.importorskip(needed, reason=f"{needed} is not installed; `make setup` installs it")

import httpx
from served import Tones, ask, server, voices_of, wait_until

from voicetune.errors import UserError
from voicetune.service import command
from voicetune.service.queue import Limits
from voicetune.speech.parts import Part
from voicetune.speech.voice import Line

KEY = "a-key-of-sixteen-characters"
SPEECH = {"voice": "anna", "input": "Hello.", "response_format": "pcm"}
SPEECH_HEAD = b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@contextmanager
def dial(url: str) -> Iterator[socket.socket]:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as line:
        yield line


def rest_of(line: socket.socket) -> bytes:
    """What comes until the service closes the connection."""
    came = b""
    with suppress(ConnectionResetError):
        while data := line.recv(65_536):
            came += data
    return came


def post(body: dict) -> bytes:
    data = json.dumps(body).encode()
    return SPEECH_HEAD + b"Content-Length: %d\r\n\r\n" % len(data) + data


@pytest.fixture(scope="module")
def url():
    with server(voices_of(anna=Tones())) as (address, _):
        yield address


# What a request says


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"input": ' * 9_000,
        b'{"voice": "anna", "input": "Hello.", "seed": ' + b"9" * 5_000 + b"}",
        b'{"voice": "anna", "input": "Hello.", "speed": NaN}',
        b'{"voice": "anna", "input": "Hello.", "speed": 1e999}',
        b'{"voice": "anna", "input": "Hello.", "speed": -Infinity}',
        b'{"voice": "anna", "input": "\\ud800"}',
        b'{"voice": ["anna"], "input": {"a": 1}}',
        b'{"voice": "anna", "input": null}',
        b'{"voice": "file:///etc/passwd", "input": "Hello."}',
        b'{"voice": "..\\\\..\\\\models", "input": "Hello."}',
        b'{"voice": "\\u0000", "input": "Hello."}',
        b'{"voice": "anna\\u001b[31m", "input": "Hello."}',
        b'\xff\xfe{"voice": "anna"}',
        b"\x80\x04K\x01.",
        b"null",
        b"",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_strange_body_is_refused_in_one_sentence(url, body):
    answer = httpx.post(f"{url}/v1/audio/speech", content=body, headers={"Content-Type": "application/json"})
    error = answer.json()["error"]
    assert 400 <= answer.status_code < 500
    assert error["message"].isprintable()
    assert len(error["message"]) < 300
    assert "Traceback" not in answer.text


def test_an_address_with_a_slash_at_its_end_is_unknown_and_nobody_is_sent_elsewhere(url):
    for path in ("/v1/voices/", "/v1/audio/speech/", "//evil.example/"):
        answer = httpx.request("POST" if "speech" in path else "GET", url + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "invalid_request")
        assert "location" not in answer.headers


def test_the_schema_names_the_version_of_the_package(url):
    from importlib.metadata import version

    assert httpx.get(f"{url}/openapi.json").json()["info"]["version"] == version("voicetune")


def test_a_head_of_many_headers_is_refused(url):
    with dial(url) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 20_000)
        assert rest_of(line).startswith((b"HTTP/1.1 400", b""))
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_what_a_client_sends_cannot_control_the_terminal_that_shows_the_log(monkeypatch, caplog):
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(command.Shown("%(levelname)s: %(message)s"))
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    caplog.set_level(logging.INFO)  # and not by monkeypatch: loggers remember what an earlier level let through
    tones = Tones()
    tones.parts = lambda line: (_ for _ in ()).throw(ValueError("a\nINFO: forged\x1b[31m"))
    with server(voices_of(anna=tones)) as (url, _):
        with dial(url) as line:
            head = b"GET /%1b[31m HTTP/1.0\r\nHost: localhost\r\n"
            line.sendall(head + b"X-Forwarded-For: \x1b[31m1.2.3.4\x9b\r\n\r\n")
            assert b" 404 " in rest_of(line)
        assert ask(url, "Hello.").status_code == 500
    assert "\\x1b[31m1.2.3.4\\x9b" in said.getvalue()
    assert "ValueError: a\n  INFO: forged\\x1b[31m\n" in said.getvalue(), "each line of a traceback is indented"
    assert all(one.isprintable() or one == "\n" for one in said.getvalue())


@pytest.mark.parametrize("key", ["a-key-with-an-é-in-it", "a-key-with-\udcff-in-it", "a-key-with-\x07-in-it"])
def test_a_key_that_clients_cannot_send_is_refused_at_the_start(key):
    with pytest.raises(UserError, match="other characters than ASCII's"):
        command.read_keys(f"{KEY} {key}")


def test_a_key_of_other_bytes_is_wrong():
    with server(voices_of(anna=Tones()), keys=[KEY]) as (url, _):
        for key in (KEY.encode() + b"\xe9", "ключ".encode(), b"\xff" * 9_000, b"x"):
            answer = httpx.get(f"{url}/v1/voices", headers=[(b"Authorization", b"Bearer " + key)])
            assert answer.status_code == 401


def test_without_a_key_no_body_is_read():
    with server(voices_of(anna=Tones()), keys=[KEY]) as (url, _), dial(url) as line:
        line.sendall(SPEECH_HEAD + b"Content-Length: 1000\r\n\r\n{")  # the other 999 bytes never come
        assert line.recv(65_536).startswith(b"HTTP/1.1 401")
        assert ask(url, "", {}).status_code == 401, "and no field of it is looked at"


# Web pages of other sites


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost"}, 200),
        ({"Host": "127.0.0.1:1"}, 200),
        ({"Host": "[::1]:8020"}, 200),
        ({"Host": "LOCALHOST:8020"}, 200),
        ({"Host": "voice.example.org"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8020"}, 403),
        ({"Host": "192.0.2.7"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "localhost:8020", "Origin": "http://localhost:8020"}, 200),
        ({"Host": "voice.example.org", "Origin": "https://voice.example.org", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "localhost", "Origin": "https://voice.example.org"}, 200),  # a proxy that names another host
        ({"Host": "localhost", "Origin": "https://page.example", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "localhost:8020", "Origin": "http://localhost:3000"}, 403),
        ({"Host": "localhost:8020", "Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "localhost", "Origin": "https://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Host": "localhost", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
    ids=str,
)
def test_a_service_without_a_key_answers_only_to_its_names_and_not_to_pages_of_others(headers, status):
    with server(voices_of(anna=Tones()), hosts=["voice.example.org"]) as (url, _):
        answer = ask(url, "Hello.", headers)
        assert answer.status_code == status
        if status == 403:
            assert "--allow-host" in answer.json()["error"]["message"]
            assert b'status="403"} 1.0' in httpx.get(f"{url}/metrics").content


def test_a_service_with_a_key_or_for_all_names_answers_to_each_name():
    elsewhere = {"Host": "voice.example.org"}
    with server(voices_of(anna=Tones()), keys=[KEY]) as (url, _):
        page = {"Origin": "app://notes", "Authorization": f"Bearer {KEY}"}
        assert ask(url, "Hello.", elsewhere | page).status_code == 200
    with server(voices_of(anna=Tones()), any_name=True) as (url, _):
        assert ask(url, "Hello.", elsewhere).status_code == 200
        assert ask(url, "Hello.", elsewhere | {"Origin": "https://evil.example"}).status_code == 403


# Slow clients


@pytest.fixture
def short():
    """A service that waits half a second for its clients."""
    tones = Tones()
    limits = Limits(connections=4, sending=0.5, taking=0.5)
    with server(voices_of(anna=tones), limits) as (url, queue):
        yield url, queue, tones


@pytest.mark.parametrize("begin", [b"", b"POST /v1", SPEECH_HEAD], ids=["nothing", "half a line", "half a head"])
def test_a_connection_without_a_request_is_closed(short, begin):
    with dial(short[0]) as line:
        begun = time.monotonic()
        line.sendall(begin)
        closed = threading.Event()
        reader = threading.Thread(target=lambda: (rest_of(line), closed.set()))
        reader.start()
        try:
            while not closed.wait(0.1) and begin:
                line.sendall(b"x")  # a byte at a time does not prolong it
        except OSError:
            pass
        reader.join(5)
    assert 0.3 < time.monotonic() - begun < 5


def test_a_body_that_comes_too_slowly_is_refused(short):
    url, queue, _ = short
    with dial(url) as line:
        line.sendall(SPEECH_HEAD + b"Content-Length: 1000\r\n\r\n")
        for _ in range(8):
            time.sleep(0.1)
            try:
                line.sendall(b" ")
            except OSError:
                break
        came = rest_of(line)
    assert came.startswith(b"HTTP/1.1 408")
    assert b"did not come in time" in came
    assert b"connection: close" in came.lower()
    assert 'status="408"} 1.0' in httpx.get(f"{url}/metrics").text
    assert queue.waiting() == 0


def test_a_client_that_goes_on_sending_after_the_answer_is_closed(short):
    with dial(short[0]) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n")
        begun = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - begun < 8:
                line.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - begun < 5


def test_connections_without_a_request_make_room_for_others():
    with server(voices_of(anna=Tones()), Limits(connections=4)) as (url, _):
        place = urlsplit(url)
        idle = [socket.create_connection((place.hostname, place.port), timeout=5) for _ in range(20)]
        assert [ask(url, "Hello.").status_code for _ in range(3)] == [200] * 3
        for line in idle[:15]:
            assert rest_of(line) == b""
        for line in idle:
            line.close()


def test_when_each_connection_has_a_request_the_next_one_is_refused(short):
    url, queue, tones = short
    tones.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(ask, url, "Held.") for _ in range(4)]
        wait_until(lambda: sum(map(len, tones.drawn)) + queue.waiting() == 4)
        refused = ask(url, "One more.")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        tones.gate.set()
        assert [one.result().status_code for one in waiting] == [200] * 4
    assert ask(url, "Now.").status_code == 200


def test_a_client_that_takes_nothing_is_let_go_and_its_text_is_not_spoken_to_the_end():
    tones = Tones()
    with server(voices_of(anna=tones), Limits(taking=0.5, characters=100_000)) as (url, queue):
        with dial(url) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.sendall(post(SPEECH | {"input": ("word " * 50 + ". ") * 300}))
            wait_until(lambda: b'status="incomplete"} 1.0' in httpx.get(f"{url}/metrics").content)
            assert queue.waiting() == 0
        assert sum(map(len, tones.drawn)) < 100, "300 parts of 240,000 bytes"


def test_what_is_spoken_ahead_for_a_slow_client_is_bounded_and_it_gets_all(short):
    tones = Tones()
    with server(voices_of(anna=tones), Limits(characters=100_000)) as (url, queue):
        text = ("word " * 50 + ". ") * 100
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=SPEECH | {"input": text}, timeout=60) as answer:
            came = answer.iter_raw()
            data = next(came)
            wait_until(lambda: queue.waiting() < 100)
            time.sleep(1)  # nothing is taken
            assert queue.waiting() > 20
            assert ask(url, "Another client is not kept waiting.").status_code == 200
            data += b"".join(came)
        assert len(data) > 100 * 200_000
        assert sum(map(len, tones.drawn)) == 101


# Many texts


class SlowToSplit(Tones):
    """Splits a text with a digit only when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()

    def parts(self, line: Line) -> list[Part]:
        if any(one.isdigit() for one in line.text):
            self.may.wait(20)
        return super().parts(line)


def test_texts_that_are_being_split_count_and_do_not_hinder_other_clients():
    tones = SlowToSplit()
    with server(voices_of(anna=tones), Limits(client=3)) as (url, _), ThreadPoolExecutor(8) as pool:
        texts = [pool.submit(ask, url, "Number 9.", {"X-Forwarded-For": "192.0.2.1"}) for _ in range(6)]
        wait_until(lambda: sum(one.done() for one in texts) == 3)
        assert ask(url, "Hello.", {"X-Forwarded-For": "192.0.2.2"}).status_code == 200
        tones.may.set()
        assert sorted(one.result().status_code for one in texts) == [200] * 3 + [429] * 3


def test_a_text_that_is_being_split_for_too_long_is_refused():
    tones = SlowToSplit()
    with server(voices_of(anna=tones), Limits(seconds=0.5)) as (url, queue):
        answer = ask(url, "Number 9.")
        tones.may.set()
        assert (answer.status_code, answer.headers["Retry-After"]) == (504, "1")
        assert "within 0.5 seconds" in answer.json()["error"]["message"]
        assert not queue._waiting
        assert ask(url, "Number 8.").status_code == 200
