"""A team: one trains and publishes, the other pulls, compares, promotes, serves, and trains on. S3 is on this machine.

The commands are those of docs/remotes.md, docs/experiments.md and docs/serving.md.
"""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import soundfile
from test_pipeline import ENVIRONMENT, clone, commit, run, small_params, wait_for
from test_pipeline import this_code as this_code
from test_remotes import KEY, MISSING, give
from test_remotes import at_home as at_home

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("this_code")]


@pytest.fixture
def bucket(tmp_path):
    """An S3 server on this machine: the settings of a remote in it."""
    pytest.importorskip("dvc_s3", reason=MISSING.format("dvc-s3"))
    server = pytest.importorskip("moto.server", reason=MISSING.format("moto")).ThreadedMotoServer("127.0.0.1", 0)
    import boto3

    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    names = dict(zip(("aws_access_key_id", "aws_secret_access_key"), KEY.values(), strict=True))
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **names)
    client.create_bucket(Bucket="voices")
    yield {"endpointurl": endpoint, "region": "us-east-1"}
    server.stop()


def voicetune(folder: Path, *arguments: str) -> str:
    return run(folder, sys.executable, "-m", "voicetune", *arguments)


def publish(folder: Path, version: str) -> None:
    """Register the committed voice, promote it, and give all to the others."""
    run(folder, "gto", "register", "voice", "--version", version)
    run(folder, "gto", "assign", "voice", "--version", version, "--stage", "prod")
    run(folder, "dvc", "push", "-q")
    run(folder, "git", "push", "-q", "origin", "main", "--tags")


def fetch(hub: Path, place: Path, *which: str) -> Path:
    """Get a version of the voice into an empty folder, without a clone."""
    pairs = [f"{name}={value}" for name, value in KEY.items()]
    place.mkdir()
    run(place, "dvc", "artifacts", "get", str(hub), "voice", *which, "-o", "voice", "--remote-config", *pairs)
    return place / "voice"


def test_two_people_train_one_after_the_other(bucket, tmp_path):
    hub, anna, bela = tmp_path / "hub", tmp_path / "anna", tmp_path / "bela"
    run(tmp_path, "git", "init", "-q", "--bare", "-b", "main", "hub")

    clone(anna, small_params())
    introduce(anna, "Anna")
    run(anna, "git", "remote", "add", "origin", str(hub))
    run(anna, "dvc", "remote", "add", "-d", "store", "s3://voices/team")
    give(anna, bucket)
    give(anna, KEY, "--local")
    run(anna, "dvc", "repro", "-q")
    commit(anna, "the first voice")
    publish(anna, "v0.1.0")

    run(tmp_path, "git", "clone", "-q", "hub", "bela")
    introduce(bela, "Bela")
    give(bela, KEY, "--local")
    run(bela, "dvc", "pull", "-q")
    assert run(bela, "dvc", "status") == "Data and pipelines are up to date.\n"
    run(bela, "dvc", "exp", "run", "-q", "-n", "faster", "-S", "lr=9e-4")
    before, after = (json.loads(text) for text in (run(anna, "git", "show", "HEAD:metrics/voice.json"),
                                                   (bela / "metrics/voice.json").read_text()))  # fmt: skip
    assert before["mel_ce"] != after["mel_ce"], "he trained from what she had pushed"
    assert "lr" in run(bela, "dvc", "params", "diff", "voice@v0.1.0")
    assert "metrics/voice.json" in run(bela, "dvc", "metrics", "diff", "voice@v0.1.0")
    commit(bela, "a higher learning rate")
    publish(bela, "v0.2.0")

    run(anna, "git", "pull", "-q", "--tags", "origin", "main")
    run(anna, "dvc", "pull", "-q")
    assert json.loads((anna / "metrics/voice.json").read_text()) == after
    assert run(anna, "dvc", "repro", "--dry").count("Running stage") == 0, "nothing has to run again"

    first = fetch(hub, tmp_path / "old", "--rev", "v0.1.0")
    second = fetch(hub, tmp_path / "new", "--stage", "prod")
    assert weights(first) != weights(second)
    assert weights(second) == weights(bela / "models/voice")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"voice"}, "no phase that led to it"
    for voice in (first, second):
        voicetune(voice.parent, "say", "Hello, everybody.", "--model", "voice", "--out", "said.wav")
        assert soundfile.info(voice.parent / "said.wav").duration > 0.3
    assert (first.parent / "said.wav").read_bytes() != (second.parent / "said.wav").read_bytes()
    assert speak_over_http(second, tmp_path / "spoken.wav") > 0.3


def introduce(folder: Path, name: str) -> None:
    run(folder, "git", "config", "user.name", name)
    run(folder, "git", "config", "user.email", f"{name}@t.invalid")


def weights(voice: Path) -> bytes:
    return (voice / "best_model.pth").read_bytes()


def speak_over_http(voice: Path, out: Path) -> float:
    """Serve a voice, ask for a text, and stop the service; returns the seconds of the answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "voicetune", "serve", "--voice", f"anna={voice}", "--port", str(port)]
    process = subprocess.Popen(command, cwd=voice.parent, env=ENVIRONMENT)
    try:
        wait_for(lambda: process.poll() is not None or is_up(port), 120)
        body = {"model": "tts-1", "voice": "anna", "input": "Good evening.", "response_format": "wav", "whole": True}
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/audio/speech", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        out.write_bytes(answer.content)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    return soundfile.info(out).duration


def is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.TransportError:
        return False
