"""The service as others use it: with OpenAI's own client, and with requests that are made from its schema."""

# ruff: noqa: E402 - without the packages, this file is skipped before it imports what needs them
import io
import subprocess
import sys
import wave

import pytest

for needed in ("fastapi", "openai", "schemathesis"):
    pytest.importorskip(needed, reason=f"{needed} is not installed; `make test-serve` installs it")

import openai
from served import Tones, server, voices_of

from voicetune.service.queue import Limits

pytestmark = pytest.mark.serve
KEY = "a-key-of-sixteen-characters"


@pytest.fixture(scope="module")
def url():
    voices = voices_of(**{"anna": Tones(), "0": Tones(), "": Tones()})  # schemathesis likes short names
    with server(voices, Limits(characters=500), [KEY]) as (address, _):
        yield address


@pytest.fixture(scope="module")
def client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


def test_the_openai_client_speaks_and_streams_to_a_file(client, tmp_path):
    asked = {"model": "tts-1", "voice": "anna", "input": "One part. And two.", "instructions": "calmly"}
    mp3 = client.audio.speech.create(**asked)
    assert mp3.content[:3] == b"ID3"
    assert mp3.response.headers["x-voicetune-parts"] == "2"
    with client.audio.speech.with_streaming_response.create(**asked, response_format="wav", speed=1.25) as streamed:
        streamed.stream_to_file(tmp_path / "x.wav")
    whole = client.audio.speech.create(**asked, response_format="wav", speed=1.25, extra_body={"whole": True})
    with wave.open(io.BytesIO(whole.content)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24_000, 1, 2)
    assert (tmp_path / "x.wav").read_bytes()[-1000:] == whole.content[-1000:]


def test_the_openai_client_understands_the_refusals(client, url):
    asked = {"model": "tts-1", "voice": "anna"}
    with pytest.raises(openai.NotFoundError, match="no voice 'alloy'; take one of anna"):
        client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.")
    with pytest.raises(openai.BadRequestError, match="nothing to say") as error:
        client.audio.speech.create(**asked, input="...")
    assert (error.value.code, error.value.param) == ("cannot_be_spoken", "input")
    with pytest.raises(openai.APIStatusError, match="500 are allowed"):
        client.audio.speech.create(**asked, input="x" * 501)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{url}/v1", api_key="wrong").audio.speech.create(**asked, input="Hello.")


def test_the_openai_client_lists_the_models(client):
    assert [model.id for model in client.models.list()] == ["voicetune"]


def test_no_request_of_the_schema_makes_the_service_fail(url, tmp_path):
    """Requests that fit the schema and requests that do not, each answered with a status and a body of the schema.

    One check is left out: a text without words fits the schema, and is refused.
    """
    program = "from schemathesis.cli import schemathesis; schemathesis()"
    arguments = ["--header", f"Authorization: Bearer {KEY}", "--max-examples", "100", "--seed", "1", "--no-color"]
    arguments += ["--exclude-checks", "positive_data_acceptance"]
    ran = subprocess.run(
        [sys.executable, "-c", program, "run", f"{url}/openapi.json", *arguments],
        capture_output=True, text=True, cwd=tmp_path, timeout=600,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    assert "5 selected / 5 total" in ran.stdout
