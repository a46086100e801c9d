"""`voicetune serve`: what it answers, in which order it speaks, and what it does when voices or clients come and go."""

# ruff: noqa: E402 - without the web server's packages, this file is skipped before it imports what needs them

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

for needed in ("fastapi", "uvicorn", "prometheus_client"):
    pytest.importorskip(needed, reason=f"{needed} is not installed; `make setup` installs it")

import av
import httpx
import soundfile
import torch
from conftest import ROOT
from served import LETTER, Tones, ask, server, voices_of, wait_until

from voicetune.errors import UserError
from voicetune.service import command, hosts, sounds
from voicetune.service import voices as voices_module
from voicetune.service.queue import Job, Limits, Queue
from voicetune.service.refusals import Refusal
from voicetune.service.voices import Opened, Served, Voices
from voicetune.speech.checking import Checks
from voicetune.speech.drawing import Drawn
from voicetune.speech.voice import Line

DECODING = {"temperature": 0.5, "top_k": 50, "top_p": 0.8, "repetition_penalty": 1.0}
KEY = "a-key-of-sixteen-characters"
LONG = "One. Two. Three. Four. Five. Six. Seven. Eight. Nine. Ten."


def samples(seconds: float) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * sounds.RATE)) / 20)).astype(np.float32)


def decoded(data: bytes, format: str) -> tuple[int, int]:
    """The samples and the rate of a file."""
    if format == "pcm":
        return len(data) // 2, sounds.RATE
    with av.open(io.BytesIO(data)) as file:
        return sum(frame.samples for frame in file.decode(audio=0)), file.streams.audio[0].rate


def seconds_of(pcm: bytes) -> float:
    return len(pcm) / 2 / sounds.RATE


# Sounds


@pytest.mark.parametrize("format", sounds.FORMATS)
def test_every_format_decodes_to_the_length_that_was_spoken(format):
    pieces = [samples(0.5), samples(0.123), samples(1.0)]
    whole = sounds.encode(np.concatenate(pieces), format)
    stream = sounds.Stream(format)
    streamed = b"".join([*map(stream.add, pieces), stream.end()])
    for data in (whole, streamed):
        count, rate = decoded(data, format)
        slack = 0 if format in ("wav", "flac", "pcm", "opus") or (format == "mp3" and data is whole) else 0.1
        assert abs(count / rate - 1.623) <= slack + 1e-3
    assert whole == sounds.encode(np.concatenate(pieces), format)
    if format != "pcm" and format != "aac":
        assert b"Synthetic speech" in whole
        assert b"Synthetic speech" in streamed


@pytest.mark.parametrize("format", sounds.FORMATS)
def test_most_of_a_part_is_sent_before_the_next_one_is_made(format):
    stream = sounds.Stream(format)
    first = stream.add(samples(2.0))
    assert len(first) > 0.7 * len(sounds.encode(samples(2.0), format))


def test_a_wav_has_its_length_if_it_is_whole_and_none_if_it_is_streamed():
    whole = sounds.encode(samples(1.0), "wav")
    assert soundfile.info(io.BytesIO(whole)).frames == sounds.RATE
    stream = sounds.Stream("wav")
    header = stream.add(samples(1.0))[:200]
    assert header[4:8] == b"\xff" * 4
    assert header[header.index(b"data") + 4 :][:4] == b"\xff" * 4


def test_a_part_is_trimmed_levelled_and_resampled():
    silence = np.zeros(22_050, np.float32)
    tone = (0.01 * np.sin(np.arange(22_050) / 20)).astype(np.float32)
    sound = sounds.finish(np.concatenate([silence, tone, silence]), 22_050)
    assert len(sound) == pytest.approx(24_000, rel=0.1)
    assert np.abs(sound).max() > 0.05


# The queue


def add(queue: Queue, client: str, opened: Tones, *texts: str, into: list | None = None, live: bool = False) -> Job:
    """Let a text wait. Its client takes each part at once, into this list."""

    def take(sound) -> None:
        if into is not None:
            into.append(sound)
        if sound is None or not live:
            queue.take(job)

    job = Job(client, Served("anna", opened, {}), 1, take, live)
    queue.add(job)
    queue.begin(job, [Line(text, "en") for text in texts])
    return job


@pytest.fixture
def busy():
    """A queue whose thread is held by a first part until the gate of its voice opens."""
    queue, tones = Queue(Limits(client=3, jobs=5)), Tones()
    tones.gate.clear()
    add(queue, "first", tones, "held")
    wait_until(lambda: tones.drawn)
    yield queue, tones
    tones.gate.set()
    queue.stop(5)


def test_each_client_gets_one_part_in_turn_and_so_does_each_of_its_texts(busy):
    queue, tones = busy
    add(queue, "a", tones, *(f"a{i}" for i in range(20)))
    add(queue, "b", tones, "b0", "b1")
    add(queue, "a", tones, "A0", "A1")
    add(queue, "c", tones, "c0")
    tones.gate.set()
    wait_until(lambda: sum(map(len, tones.drawn)) == 26)
    assert tones.drawn[1] == ["a0", "b0", "c0", "A0"], "first parts, without those that follow them"
    assert tones.drawn[2][:6] == ["b1", "a1", "A1", "a2", "a3", "a4"]
    assert [len(batch) for batch in tones.drawn] == [1, 4, 16, 5]
    assert queue.waiting() == 0


def test_only_parts_of_one_model_are_drawn_together_and_none_starves(busy):
    queue, tones = busy
    other = Tones()
    for client in ("a", "b"):
        add(queue, client, tones, *(f"{client}{i}" for i in range(20)))
        add(queue, client, other, f"other {client}")
    tones.gate.set()
    wait_until(lambda: queue.waiting() == 0 and sum(map(len, tones.drawn)) == 41)
    assert other.drawn == [["other a", "other b"]]
    assert all("other" not in text for batch in tones.drawn for text in batch)


def test_limits_of_a_client_of_all_and_of_a_service_that_ends(busy):
    queue, tones = busy
    for _ in range(3):
        add(queue, "a", tones, "x")
    with pytest.raises(Refusal, match="3 texts of yours wait") as error:
        add(queue, "a", tones, "x")
    assert error.value.status == 429
    assert int(error.value.headers["Retry-After"]) >= 1
    add(queue, "b", tones, "x")
    add(queue, "c", tones, "x")
    with pytest.raises(Refusal, match="5 texts wait") as error:
        add(queue, "d", tones, "x")
    assert (error.value.status, "Retry-After" in error.value.headers) == (503, True)
    queue.draining = True
    with pytest.raises(Refusal, match="being stopped"):
        add(queue, "e", tones, "x")


def test_a_cancelled_text_is_not_spoken_further(busy):
    queue, tones = busy
    one = add(queue, "a", tones, "a0", "a1")
    add(queue, "a", tones, "kept")
    queue.cancel(one)
    queue.cancel(one)
    tones.gate.set()
    wait_until(lambda: len(tones.drawn) == 2)
    assert tones.drawn[1] == ["kept"]


def test_a_part_that_fails_does_not_harm_the_others(busy):
    queue, tones = busy
    good, bad = [], []
    add(queue, "a", tones, "well", "fine", into=good)
    add(queue, "b", tones, "boom", "never", into=bad)
    tones.gate.set()
    wait_until(lambda: len(good) == 2 and bad)
    assert all(isinstance(one, Drawn) for one in good)
    assert isinstance(bad[0], ZeroDivisionError)


# Answers


@pytest.fixture(scope="module")
def tones() -> Tones:
    return Tones()


@pytest.fixture(scope="module")
def url(tones):
    with server(voices_of(anna=tones, bela=Tones()), Limits(characters=300)) as (address, _):
        yield address


def fault(answer: httpx.Response) -> tuple[int, str, str]:
    """The status, the code and the sentence of an error, after checking its form."""
    error = answer.json()["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert re.fullmatch(r"[^\n]{10,300}\.", error["message"])
    return answer.status_code, error["code"], error["message"]


def test_a_short_text_comes_whole_with_what_the_checks_found(url):
    answer = ask(url, "A little babble.")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/pcm"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert seconds_of(answer.content) == pytest.approx(16 * LETTER, abs=0.05)
    known = {name: answer.headers[f"x-voicetune-{name}"] for name in ("parts", "draws", "cut", "found", "left")}
    assert known == {"parts": "1", "draws": "4", "cut": "1", "found": "runs on", "left": ""}


@pytest.mark.parametrize("format", sounds.FORMATS)
def test_every_format_is_served_whole_and_streamed(url, format):
    for text, parts in (("Just one part.", 1), ("One part. And two. Then three.", 3)):
        expected = seconds_of(ask(url, text).content)
        answer = ask(url, text, response_format=format)
        assert answer.headers["x-voicetune-parts"] == str(parts)
        assert ("content-length" in answer.headers) == (parts == 1)
        count, rate = decoded(answer.content, format)
        assert count / rate == pytest.approx(expected, abs=0.1)


def test_a_streamed_text_has_pauses_and_the_same_sound_as_a_whole_one(url):
    streamed, whole = ask(url, LONG), ask(url, LONG, whole=True)
    assert streamed.content == whole.content
    assert "x-voicetune-draws" not in streamed.headers
    assert whole.headers["x-voicetune-draws"] == "10"
    letters = sum(len(one) for one in LONG.replace(". ", ".").split()) * LETTER
    assert seconds_of(streamed.content) == pytest.approx(letters + 9 * 0.5, abs=0.4)


def test_a_live_text_is_sent_in_pieces_and_says_that_it_is_not_checked(url):
    answer = ask(url, "One. Two.", live=True)
    assert answer.headers["x-voicetune-checked"] == "no"
    assert "x-voicetune-draws" not in answer.headers
    heard = np.frombuffer(answer.content, "<i2") / 32767
    one = np.repeat([0.0, 0.1, 0.2], 2400)
    pause = np.zeros(round((0.5 - 2 * 0.02) * sounds.RATE))
    assert np.allclose(heard, np.concatenate([one, pause, one]), atol=1e-4)
    assert "x-voicetune-checked" not in ask(url, "One. Two.").headers


def test_a_live_text_is_not_batched_and_its_pieces_end_when_the_client_goes(busy):
    queue, tones = busy
    pieces: list = []
    live = add(queue, "a", tones, "a live part", "another", into=pieces, live=True)
    add(queue, "b", tones, "b0")
    queue.cancel(live)
    add(queue, "a", tones, "spoken", into=pieces, live=True)
    tones.gate.set()
    wait_until(lambda: pieces[-1:] == [None])
    assert [len(piece) for piece in pieces[:-1]] == [2400] * 3
    wait_until(lambda: len(tones.drawn) == 3)
    assert sorted(tones.drawn[1:]) == [["b0"], ["spoken"]], "nothing of the cancelled text, and no batch of both"


def test_live_is_refused_where_it_cannot_be_done(url):
    assert fault(ask(url, "Hello.", live=True, whole=True))[:2] == (400, "unsupported")
    other = Tones()
    other.streams = False
    with server(voices_of(anna=other)) as (address, _):
        assert "its vocoder is not HiFi-GAN" in fault(ask(address, "Hello.", live=True))[2]
    assert fault(ask(url, "boom", live=True))[0] == 500


def test_speed_and_seed_change_the_sound_and_other_fields_do_not(url):
    usual = ask(url, "Hello there.").content
    assert (
        ask(url, "Hello there.", instructions="whisper", model="gpt-4o-mini-tts", stream_format="audio").content
        == usual
    )
    assert ask(url, "Hello there.", seed=2).content != usual
    assert ask(url, "Hello there.", seed=1.0, speed=1).content == usual
    assert len(ask(url, "Hello there.", speed=2).content) < 0.6 * len(usual)


@pytest.mark.parametrize(
    ("change", "status", "code", "said"),
    [
        ({"voice": "alloy"}, 404, "voice_not_found", "no voice 'alloy'; take one of anna, bela"),
        ({"voice": "../../etc/passwd"}, 404, "voice_not_found", "no voice"),
        ({"input": "x" * 301}, 413, "text_too_long", "301 characters, and 300 are allowed"),
        ({"input": "?!"}, 400, "cannot_be_spoken", "nothing to say"),
        ({"input": ""}, 400, "invalid_request", "input is refused"),
        ({"input": "a\ud800b"}, 400, "invalid_request", "input is refused"),
        ({"input": 7}, 400, "invalid_request", "input is refused"),
        ({"response_format": "exe"}, 400, "invalid_request", "response_format is refused"),
        ({"speed": 4}, 400, "invalid_request", "speed is refused"),
        ({"speed": float("nan")}, 400, "invalid_request", "speed is refused"),
        ({"speed": "1"}, 400, "invalid_request", "speed is refused"),
        ({"seed": -1}, 400, "invalid_request", "seed is refused"),
        ({"language": "klingon"}, 400, "invalid_request", "language is refused"),
        ({"language": "de"}, 400, "language_not_spoken", "does not speak 'de'"),
        ({"stream_format": "sse"}, 400, "unsupported", "only audio"),
    ],
)  # fmt: skip
def test_what_cannot_be_spoken_is_refused_in_one_sentence(url, change, status, code, said):
    body = json.dumps({"model": "tts-1", "voice": "anna", "input": "Hello.", **change})
    answer = httpx.post(f"{url}/v1/audio/speech", content=body, headers={"Content-Type": "application/json"})
    assert fault(answer)[:2] == (status, code)
    assert said in fault(answer)[2]


@pytest.mark.parametrize(
    ("body", "kind"),
    [("{", "application/json"), ("[]", "application/json"), ('{"input": "x"}', "text/plain"), ("", "")],
)
def test_a_body_that_is_no_json_object_is_refused(url, body, kind):
    answer = httpx.post(f"{url}/v1/audio/speech", content=body, headers={"Content-Type": kind})
    assert fault(answer)[:2] == (400, "invalid_request")


def test_a_body_that_is_too_large_is_refused_before_it_is_read(url):
    def endless():
        for _ in range(400):
            yield b" " * 1000

    for content in (b" " * 400_000, endless()):
        answer = httpx.post(f"{url}/v1/audio/speech", content=content, headers={"Content-Type": "application/json"})
        assert fault(answer)[0] == 413


def test_unknown_addresses_and_methods_are_refused_in_the_same_form(url):
    assert fault(httpx.get(f"{url}/v1/nothing"))[0] == 404
    answer = httpx.get(f"{url}/v1/audio/speech")
    assert (fault(answer)[0], answer.headers["allow"]) == (405, "POST")
    assert httpx.get(f"{url}/docs").status_code == 404, "Swagger's page asks a CDN"


def test_a_fault_of_the_service_shows_no_details(url):
    assert fault(ask(url, "Go boom.")) == (500, "internal_error", "the service failed; its log says why.")
    assert fault(ask(url, "Be silent."))[:2] == (500, "no_sound")
    assert ask(url, "All is well.").status_code == 200


def test_a_stream_that_fails_later_is_cut_and_not_ended(url, caplog):
    with pytest.raises(httpx.RemoteProtocolError):
        ask(url, "One. Two. " + "More. " * 20 + "Be silent. Three.")
    wait_until(lambda: "the model said nothing for a part" in caplog.text)
    assert "Traceback" not in caplog.text, "what is known is said in one line"


def test_voices_models_health_and_page(url):
    known = httpx.get(f"{url}/v1/voices").json()
    assert known["voices"][0] == {"id": "anna", "name": "anna", **Tones().about()}
    assert httpx.get(f"{url}/v1/audio/voices").json() == known
    assert httpx.get(f"{url}/v1/audio/models").json()["models"] == httpx.get(f"{url}/v1/models").json()["data"]
    assert httpx.get(f"{url}/v1/models").json()["data"][0]["object"] == "model"
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    page = httpx.get(url)
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'sha256-" in page.text
    assert not re.findall(r"(?:src|href)=\"(?!data:,)[^\"]+", page.text), "it loads nothing"


def test_every_answer_is_counted(tones):
    with server(voices_of(anna=tones)) as (url, _):
        for text in ("Hello.", "Some babble.", "Be silent.", "?", "Go boom."):
            ask(url, text)
        text = httpx.get(f"{url}/metrics").text
    assert {status: float(count) for status, count in re.findall(r'requests_total{status="(\w+)"} (\S+)', text)} == {
        "200": 2, "400": 1, "500": 2,
    }  # fmt: skip
    assert 'voicetune_faults_total{fault="runs on",when="found"} 1.0' in text
    assert "voicetune_first_sound_seconds_count 2.0" in text
    assert "voicetune_waiting_parts 0.0" in text


def test_with_keys_only_those_who_have_one_are_served():
    with server(voices_of(anna=Tones()), keys=["another-key-of-somebody", KEY]) as (url, _):
        for headers in (
            {},
            {"Authorization": f"Bearer {KEY}x"},
            {"Authorization": KEY},
            {"Authorization": f"Basic {KEY}"},
        ):
            assert fault(ask(url, "Hello.", headers))[:2] == (401, "invalid_api_key")
            for address in ("/v1/voices", "/v1/audio/voices", "/v1/audio/models", "/v1/models", "/metrics"):
                assert httpx.get(url + address, headers=headers).status_code == 401
        assert ask(url, "Hello.", {"Authorization": f"Bearer {KEY}"}).status_code == 200
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert '"key": true' in httpx.get(url).text
        assert KEY not in httpx.get(url).text


@pytest.fixture
def held():
    """A server whose voice is held by a first request."""
    tones = Tones()
    limits = Limits(client=2, jobs=3, seconds=0.5)
    with server(voices_of(anna=tones), limits) as (url, queue), ThreadPoolExecutor(8) as pool:
        tones.gate.clear()
        first = pool.submit(ask, url, "Held.")
        wait_until(lambda: tones.drawn)
        yield url, queue, tones, pool, first
        tones.gate.set()


def test_a_client_with_many_texts_gets_429_and_a_full_service_503(held):
    url, queue, tones, pool, _ = held
    queue.limits = Limits(client=2, jobs=3)
    waiting = [pool.submit(ask, url, "Mine.") for _ in range(2)]
    wait_until(lambda: queue.waiting() == 2)
    refused = ask(url, "One more.")
    assert fault(refused)[:2] == (429, "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) >= 1
    waiting.append(pool.submit(ask, url, "From elsewhere.", {"X-Forwarded-For": "192.0.2.1"}))
    wait_until(lambda: queue.waiting() == 3)
    refused = ask(url, "Full.", {"X-Forwarded-For": "192.0.2.2"})
    assert fault(refused)[:2] == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    tones.gate.set()
    assert [one.result().status_code for one in waiting] == [200] * 3


def test_a_text_that_waits_too_long_gets_504_and_is_not_spoken(held):
    url, queue, tones, _, first = held
    answer = ask(url, "Late.")
    assert fault(answer)[:2] == (504, "timeout")
    assert "retry-after" in answer.headers
    assert queue.waiting() == 0
    assert first.result().status_code == 504
    tones.gate.set()
    assert ask(url, "In time.").status_code == 200
    assert ["Late."] not in tones.drawn


def test_a_service_that_ends_refuses_new_texts_and_says_so(held):
    url, queue, *_ = held
    queue.draining = True
    assert fault(ask(url, "New."))[:2] == (503, "stopping")
    assert httpx.get(f"{url}/healthz").status_code == 503


@pytest.mark.parametrize("whole", [True, False])
def test_the_parts_of_a_client_who_has_gone_are_dropped(whole):
    tones = Tones()
    with server(voices_of(anna=tones)) as (url, queue):
        body = {"voice": "anna", "input": "More. " * 50, "response_format": "pcm", "whole": whole}
        tones.gate.clear()
        with httpx.Client() as client, pytest.raises(httpx.ReadTimeout):
            client.post(f"{url}/v1/audio/speech", json=body, timeout=1.0)
        wait_until(lambda: queue.waiting() == 0)
        tones.gate.set()
        assert ask(url, "Who is next.").status_code == 200
        assert tones.drawn[-1] == ["Who is next."]
        assert sum(map(len, tones.drawn)) <= 17 + 1


def test_a_client_who_goes_in_the_middle_of_a_stream_is_noticed():
    tones = Tones()
    tones.free = 1
    tones.gate.clear()
    with server(voices_of(anna=tones)) as (url, queue):
        body = {"voice": "anna", "input": "More. " * 100, "response_format": "pcm"}
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=body) as answer:
            next(answer.iter_raw())
        wait_until(lambda: queue.waiting() == 0)
        tones.gate.set()
        wait_until(lambda: 'status="incomplete"} 1.0' in httpx.get(f"{url}/metrics").text)
        assert sum(map(len, tones.drawn)) <= 17


def test_the_first_part_is_heard_before_the_last_one_is_made():
    tones = Tones()
    tones.free = 1
    tones.gate.clear()
    with server(voices_of(anna=tones)) as (url, _):
        body = {"voice": "anna", "input": "More. " * 40, "response_format": "pcm"}
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=body) as answer:
            came = answer.iter_raw()
            first = next(came)
            assert tones.drawn[0] == ["More."]
            assert len(tones.drawn) <= 2
            tones.gate.set()
            rest = b"".join(came)
    assert seconds_of(first) == pytest.approx(5 * LETTER, abs=0.05)
    assert seconds_of(first + rest) > 40 * 5 * LETTER


# Real voices


@pytest.fixture(scope="module")
def published(bundle_base, dataset, tmp_path_factory) -> Path:
    """A folder with the tiny base and two speakers."""
    from voicetune.speech.voice import Voice

    folder = Path(shutil.copytree(bundle_base, tmp_path_factory.mktemp("published") / "voice"))
    clips = sorted((dataset / "clips").glob("*.flac"))[2:4]
    model = Voice(folder).model
    heard = [model.compute_speaker([soundfile.read(clip, dtype="float32")[0]]) for clip in clips]
    torch.save(dict(zip(("anna", "bela"), heard, strict=True)), folder / "speakers_xtts.pth")
    facts = json.loads((folder / "voicetune.json").read_text())
    (folder / "voicetune.json").write_text(json.dumps({**facts, "language": "en", "decoding": DECODING}))
    return folder


def open_voices(*folders: tuple[str | None, Path]) -> Voices:
    voices = Voices(folders, "cpu", Checks(tries=2))
    for one in voices.all().values():
        shorten(one.opened)
    return voices


def shorten(opened: Opened) -> None:
    opened.voice.model.xtts.gpt.max_gen_mel_tokens = 60  # so that a part that does not stop takes little time


def test_equal_seeds_give_equal_bytes_alone_and_under_load(published):
    texts = ["Good evening.", "Which river flows through Budapest?", "No, I am sorry. It is seven. Take your time."]
    asked = [
        (texts[i % 3], {"voice": ("anna", "bela")[i % 2], "seed": i % 4, "response_format": "flac"}) for i in range(20)
    ]
    with server(open_voices((None, published)), Limits(client=20)) as (url, _):
        with ThreadPoolExecutor(20) as pool:
            loaded = list(pool.map(lambda one: ask(url, one[0], **one[1]), asked))
        assert [one.status_code for one in loaded] == [200] * 20
        for number in (0, 5, 14, 19):
            text, more = asked[number]
            assert ask(url, text, **more).content == loaded[number].content
    assert len({one.content for one in loaded}) == 12, "each text, voice and seed sounds different"


def test_voices_have_the_names_of_their_speakers_or_those_that_are_given(published):
    voices = open_voices(("show", published))
    with pytest.raises(UserError, match="does not speak 'de'; it speaks en"):
        next(iter(voices.all().values())).opened.check_language("de")
    assert list(voices.all()) == ["show-anna", "show-bela"]
    with pytest.raises(UserError, match="two voices have the name 'anna'"):
        Voices([(None, published), (None, published)], "cpu", Checks(1))


def test_a_folder_that_is_not_published_is_refused(bundle_base):
    with pytest.raises(UserError):
        Voices([(None, bundle_base)], "cpu", Checks(1))


@pytest.mark.slow
def test_a_new_version_is_swapped_in_while_requests_run_and_a_broken_one_is_not(published, tmp_path, caplog):
    folder = Path(shutil.copytree(published, tmp_path / "voice"))
    voices = open_voices((None, folder))
    old = voices.find("anna").opened
    voices.renew()
    assert voices.find("anna").opened is old, "nothing changed"

    def replace(change) -> None:
        new = Path(shutil.copytree(published, tmp_path / "new"))
        change(new)
        shutil.rmtree(folder)
        voices.renew()
        assert voices.find("anna").opened is old, "the folder is missing for a moment"
        new.rename(folder)

    replace(lambda new: (new / "model.pth").write_bytes(b"broken"))
    with caplog.at_level("INFO", logger="voicetune.service"):
        voices.renew()
        voices.renew()
    assert voices.find("anna").opened is old
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "\n" not in record.getMessage()

    def rename_a_speaker(new: Path) -> None:
        known = torch.load(new / "speakers_xtts.pth", weights_only=True)
        torch.save({"anna": known["bela"], "carl": known["anna"]}, new / "speakers_xtts.pth")

    with server(voices) as (url, queue), ThreadPoolExecutor(4) as pool:
        before = ask(url, "Take your time.").content
        running = [pool.submit(ask, url, "Take your time. " * 12, seed=seed) for seed in range(4)]
        wait_until(lambda: queue.waiting() > 0)
        replace(rename_a_speaker)
        voices.renew()
        shorten(voices.find("anna").opened)
        after = ask(url, "Take your time.").content
        assert [one.result().status_code for one in running] == [200] * 4
    assert list(voices.all()) == ["anna", "carl"]
    assert before != after, "anna has bela's voice now"


def test_a_version_that_could_not_be_opened_for_a_moment_is_tried_again(tmp_path, monkeypatch, caplog):
    told = []

    def open_any(*_):
        told.append("tried")
        if len(told) in (2, 3):
            raise RuntimeError("CUDA out of memory")
        return Tones()

    monkeypatch.setattr(Tones, "speakers", {"anna": {}}, raising=False)
    monkeypatch.setattr(voices_module, "Opened", open_any)
    monkeypatch.setattr(voices_module, "_EVERY", 0)
    monkeypatch.setattr(voices_module, "_version", lambda folder: ((folder.read_text(), 0, 0, 0),))
    # In this module alone: the loop of the server of `url` reads the same clock, and would sleep for hours.
    monkeypatch.setattr(voices_module, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=time.sleep))
    now, folder = [0.0], tmp_path / "voice"
    folder.write_text("old")
    voices = Voices([("anna", folder)], "cpu", Checks())
    old = voices.find("anna").opened
    folder.write_text("new")
    for now[0] in (0, 30, 61, 120, 182):
        voices.renew()
    assert (len(told), voices.find("anna").opened is old) == (4, False)
    assert [record.getMessage().partition("again in ")[2] for record in caplog.records][:2] == ["60 s", "120 s"]


def test_one_thread_alone_computes_on_a_gpu_of_apple(tmp_path, monkeypatch):
    monkeypatch.setattr(Tones, "speakers", {"anna": {}}, raising=False)
    monkeypatch.setattr(voices_module, "Opened", lambda *_: Tones())
    began = []
    thread = SimpleNamespace(start=lambda: began.append(device))
    monkeypatch.setattr(voices_module, "threading", SimpleNamespace(Event=threading.Event, Thread=lambda **_: thread))
    for device in ("mps", "cpu"):
        Voices([("anna", tmp_path)], device, Checks()).watch()
    assert began == ["cpu"]


# The command


def test_keys_are_words_and_short_ones_are_refused():
    assert command.read_keys(f" {KEY}\n{KEY}2 ") == [KEY, f"{KEY}2"]
    assert command.read_keys("") == []
    with pytest.raises(UserError, match="fewer than 16 characters"):
        command.read_keys(f"{KEY} secret")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.org", False)],
)
def test_loopback_is_recognised(host, expected):
    assert hosts.is_loopback(host) is expected


def start(folder: Path, *more: str, **environment: str) -> tuple[subprocess.Popen, str]:
    """Start the command on a free port, and wait until it listens: the process and the address."""
    known = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(
        [sys.executable, "-m", "voicetune", "serve", "--voice", str(folder), "--port", "0", *more],
        stderr=subprocess.PIPE, text=True, cwd=folder.parent, env=known | environment,
    )  # fmt: skip
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"http://\S+:(\d+) serves", line):
            threading.Thread(target=lambda: said.extend(process.stderr), daemon=True).start()
            process.said = said
            return process, f"http://127.0.0.1:{found[1]}"
    raise AssertionError("".join(said))


@pytest.mark.slow
def test_sigterm_lets_what_has_begun_end_and_exits_with_0(published):
    process, url = start(published, "--host", "0.0.0.0", "--tries", "1", VOICETUNE_API_KEY="")
    try:
        body = {"voice": "anna", "input": "Take your time. " * 6, "response_format": "pcm"}
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=body, timeout=60) as answer:
            process.send_signal(signal.SIGTERM)
            came = answer.read()
        assert answer.status_code == 200
        assert seconds_of(came) > 3
        assert process.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
        assert "anybody who reaches 0.0.0.0 can speak" in "".join(process.said)
    finally:
        process.kill()


@pytest.mark.slow
def test_what_is_not_spoken_in_time_at_the_end_is_cut_and_it_still_exits_with_0(published):
    process, url = start(published, "--limit-drain", "1", VOICETUNE_API_KEY="")
    try:
        body = {"voice": "anna", "input": "9" * 4000, "response_format": "pcm"}
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=body, timeout=60) as answer:
            process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()
        assert process.wait(20) == 0, "".join(process.said)
        assert "a text was cut, because the service ends" in "".join(process.said)
        assert "Traceback" not in "".join(process.said)
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--allow-host", "a/b"], "allow_host"),
        (["--limit-connections", "0"], "limit_connections"),
        (["--port", "70000"], "port"),
        (["--limit-characters", "0"], "limit_characters"),
        (["--voice", "/nowhere"], "/nowhere does not exist"),
        (["--host", "256.0.0.1", "--port", "0", "--voice", "/nowhere"], "cannot be listened on"),
    ],
)
def test_wrong_arguments_end_it_with_one_sentence(arguments, said, monkeypatch, capsys):
    from voicetune import __main__ as program

    monkeypatch.setattr(sys, "argv", ["voicetune", "serve", *arguments])
    with pytest.raises(SystemExit):
        program.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
