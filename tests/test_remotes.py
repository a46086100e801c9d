"""Remotes on S3 and SSH as docs/remotes.md describes them, with DVC's real commands on this machine's loopback.

The repository is small. It has the project's own .gitignore, .dvc/config and `artifacts:`, and one stage that imitates
a training.
"""

import asyncio
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from getpass import getuser
from pathlib import Path

import pytest
import test_pipeline
import yaml
from test_pipeline import ROOT, commit, copy_settings, run, wait_for

pytestmark = pytest.mark.slow
MISSING = "{} is not installed; `make test-all` installs it"
MINE = "data/raw/mine"
ARTIFACTS = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["artifacts"]
MODELS = sorted({one["path"] for one in ARTIFACTS.values()})
KEY = {"access_key_id": "an-id", "secret_access_key": "a-secret"}
TRAIN = """import pathlib, random, sys
for number, name in enumerate(sys.argv[1:]):
    folder = pathlib.Path(name)
    folder.mkdir(parents=True)
    (folder / "best_model.pth").write_bytes(random.Random(number).randbytes(3_000_000))
    (folder / "config.json").write_text(name)
"""


@pytest.fixture(autouse=True)
def at_home(monkeypatch, tmp_path):
    """Hide the settings of the person who runs the test: keys, ssh configuration, and a proxy for the loopback."""
    (tmp_path / "home").mkdir()
    for name in [name for name in test_pipeline.ENVIRONMENT if name.startswith(("AWS_", "SSH_"))]:
        monkeypatch.delitem(test_pipeline.ENVIRONMENT, name)
    given = {"HOME": str(tmp_path / "home"), "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1"}
    for name, value in given.items():
        monkeypatch.setitem(test_pipeline.ENVIRONMENT, name, value)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def origin(place: Path) -> Path:
    """Make a repository with recordings and a finished stage, and a bare repository place/hub as its origin."""
    folder = place / "origin"
    copy_settings(folder, "data/raw/README.md")
    (folder / "train.py").write_text(TRAIN)
    stages = {"train": {"cmd": " ".join(["python train.py", *MODELS]), "deps": [MINE], "outs": MODELS}}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages, "artifacts": ARTIFACTS}))
    (folder / MINE / "wavs").mkdir(parents=True)
    for number in range(3):
        (folder / MINE / f"wavs/{number}.wav").write_bytes(random.Random(number).randbytes(100_000))
    (folder / MINE / "metadata.csv").write_text("0|one\n1|two\n2|three\n")
    run(place, "git", "init", "-q", "--bare", "-b", "main", "hub")
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "git", "remote", "add", "origin", str(place / "hub"))
    run(folder, "git", "config", "user.name", "t")  # gto needs a name and an address
    run(folder, "git", "config", "user.email", "t@t.invalid")
    run(folder, "dvc", "add", "-q", MINE)
    run(folder, "dvc", "repro", "-q")
    return folder


def goes_round(place: Path, url: str, settings: dict[str, str], secrets: dict[str, str]) -> None:
    """Push from one clone, pull in another, and fetch a registered version by name. The bytes must be the same."""
    folder, other, fetched, voice = origin(place), place / "other", place / "fetched", ARTIFACTS["voice"]["path"]
    run(folder, "dvc", "remote", "add", "-d", "store", url)
    give(folder, secrets, "--local")
    give(folder, settings)
    commit(folder, "recordings, models and where they are kept")
    assert not {name for name in run(folder, "git", "ls-files").splitlines() if "config.local" in name}
    assert not any(value in (folder / ".dvc/config").read_text() for value in secrets.values())
    run(folder, "gto", "register", "voice", "--version", "v0.1.0")
    run(folder, "git", "push", "-q", "origin", "main", "--tags")
    run(folder, "dvc", "push", "-q")

    run(place, "git", "clone", "-q", "hub", "other")
    run(other, "dvc", "pull", "-q", voice, ok=False)  # refused without the secret
    give(other, secrets, "--local")
    run(other, "dvc", "pull", "-q")
    for name in (MINE, *MODELS):
        assert contents(other / name) == contents(folder / name), name
    assert run(other, "git", "status", "--porcelain") == ""

    pairs = [f"{name}={value}" for name, value in secrets.items()]
    at = ["artifacts", "get", str(place / "hub"), "voice", "--rev", "v0.1.0", "-o", str(fetched)]
    run(place, "dvc", *at, "--remote-config", *pairs)
    assert contents(fetched) == contents(folder / voice)


def give(folder: Path, settings: dict[str, str], *how: str) -> None:
    for name, value in settings.items():
        run(folder, "dvc", "remote", "modify", *how, "store", name, value)


def test_push_pull_and_get_with_s3(tmp_path):
    pytest.importorskip("dvc_s3", reason=MISSING.format("dvc-s3"))
    server = pytest.importorskip("moto.server", reason=MISSING.format("moto")).ThreadedMotoServer("127.0.0.1", 0)
    import boto3

    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        names = dict(zip(("aws_access_key_id", "aws_secret_access_key"), KEY.values(), strict=True))
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **names).create_bucket(Bucket="voices")
        goes_round(tmp_path, "s3://voices/anna", {"endpointurl": endpoint, "region": "us-east-1"}, KEY)
    finally:
        server.stop()


@contextmanager
def asyncssh_server(place: Path) -> Iterator[int]:
    """Run asyncssh's own SFTP server, which comes with dvc-ssh, and yield its port."""
    import asyncssh

    loop, listening = asyncio.new_event_loop(), threading.Event()
    port = 0

    async def begin() -> None:
        nonlocal port
        keys = {"server_host_keys": [str(place / "host")], "authorized_client_keys": str(place / "key.pub")}
        server = await asyncssh.listen("127.0.0.1", 0, sftp_factory=True, **keys)
        port = server.get_port()
        listening.set()

    loop.create_task(begin())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert listening.wait(20)
    yield port
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)


@contextmanager
def sshd(place: Path) -> Iterator[int]:
    """Run OpenSSH's server as the current user, and yield its port."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin")
    if not program:
        pytest.skip("there is no sshd here; on Debian, `apt-get install openssh-server` brings it")
    if os.getuid() == 0:
        with suppress(OSError):  # if /run is read-only, sshd reports it
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd needs it as root; its service makes it at the start
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    lines = ("ListenAddress 127.0.0.1", f"Port {port}", f"HostKey {place / 'host'}", "PidFile none", "UsePAM no",
             f"AuthorizedKeysFile {place / 'key.pub'}", "StrictModes no", "PasswordAuthentication no",
             "KbdInteractiveAuthentication no", "PermitRootLogin yes", "Subsystem sftp internal-sftp")  # fmt: skip
    (place / "sshd_config").write_text("\n".join(lines) + "\n")
    log = place / "sshd.log"
    command = [program, "-D", "-f", str(place / "sshd_config"), "-E", str(log)]
    with subprocess.Popen(command) as server:
        try:
            wait_for(lambda: server.poll() is not None or (log.exists() and "listening" in log.read_text()), 20)
            assert server.poll() is None, log.read_text()
            yield port
        finally:
            server.terminate()


@pytest.mark.parametrize("begin", [asyncssh_server, sshd], ids=["asyncssh", "sshd"])
def test_push_pull_and_get_with_ssh(tmp_path, begin):
    pytest.importorskip("dvc_ssh", reason=MISSING.format("dvc-ssh"))
    import asyncssh

    for name in ("host", "key"):
        made = asyncssh.generate_private_key("ssh-ed25519")
        made.write_private_key(str(tmp_path / name))
        made.write_public_key(str(tmp_path / f"{name}.pub"))
        (tmp_path / name).chmod(0o600)
    with begin(tmp_path) as port:
        url = f"ssh://{getuser()}@127.0.0.1:{port}{tmp_path / 'store'}"
        goes_round(tmp_path, url, {}, {"keyfile": str(tmp_path / "key")})
