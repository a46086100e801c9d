"""Download the published base from a small server on loopback that imitates the Hugging Face hub.

It answers as the hub does for a file of a pinned revision: HEAD and GET of /<repository>/resolve/<revision>/<file>
with X-Repo-Commit and ETag, ranges included. Redirects to the hub's store, Xet and the real files' size are not tested.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REPOSITORY, REVISION = "someone/some-model", "0123456789abcdef0123456789abcdef01234567"
CONTENT = {"config.json": b'{"a": 1}\n', "model.pth": bytes(range(256)) * 100_000}  # 25 MB: it comes in pieces of 10

FETCH = """
import json, sys
from voicetune.errors import UserError
from voicetune.xtts import hub
given = json.loads(sys.argv[1])
files = {name: hub.File(*file) for name, file in given["files"].items()}
if "free" in given:
    usage = hub.shutil._ntuple_diskusage(0, 0, given["free"])
    hub.shutil.disk_usage = lambda path: usage
try:
    found = hub.fetch(hub.Published(given["repository"], given["revision"], files))
except UserError as error:
    sys.exit(f"error: {error}")
print(json.dumps({name: str(path) for name, path in found.items()}))
"""

UNFOLD = """
import json, sys
from pathlib import Path
from voicetune.xtts import hub, origins
given = json.loads(sys.argv[1])
files = {name: hub.File(*file) for name, file in given["files"].items()}
hub.XTTS_V2 = hub.Published(given["repository"], given["revision"], files)
origins.unfold("xtts_v2", Path(given["out"]), Path("no bundle"))
"""


class Hub(ThreadingHTTPServer):
    """A hub with one model. faults: file name to the fault of its answers."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.faults = dict(CONTENT), {}
        self.asked: list[tuple[str, str, str | None]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        name = self.path.rsplit("/", 1)[1]
        fault, data = self.server.faults.get(name), self.server.content.get(name)
        self.server.asked.append((self.command, name, self.headers.get("Range")))
        if fault == "refused":
            return self.head(403, b"")
        if data is None:
            return self.head(404, b"", {"X-Error-Code": "EntryNotFound"})
        etag = hashlib.sha256(data).hexdigest()
        begin = int((self.headers.get("Range") or "bytes=0-")[6:].rstrip("-").split("-")[0])
        sent = data[begin:]
        extra = {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
        if begin:
            extra["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        self.head(206 if begin else 200, sent, extra)
        if not body:
            return None
        if fault == "cut off":  # the first answer ends after half of the file
            del self.server.faults[name]
            sent = sent[: len(sent) // 2]
        elif fault == "truncated":  # every answer ends after half of the file
            sent = sent[: len(sent) // 2]
        self.wfile.write(sent)
        return None

    def head(self, status: int, sent: bytes, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = Hub()
    yield server
    server.shutdown()


def published(content: dict[str, bytes]) -> dict[str, tuple[int, str]]:
    return {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in content.items()}


def fetch(hub: Hub | str, home: Path, agreed: str = "1", free: int | None = None, **environment: str):
    """Run `hub.fetch` in a new process, because huggingface_hub reads its variables once. Returns code, out and err."""
    address = hub if isinstance(hub, str) else hub.address
    given = {"repository": REPOSITORY, "revision": REVISION, "files": published(CONTENT)}
    given |= {} if free is None else {"free": free}
    return python(FETCH, given, address, home, agreed, environment)


def python(script: str, given: dict, address: str, home: Path, agreed: str, environment: dict[str, str]):
    env = {
        **os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_ENDPOINT": address, "HF_HOME": str(home),
        "COQUI_TOS_AGREED": agreed, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
        **environment,
    }  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", script, json.dumps(given)], env=env, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result.returncode, result.stdout, result.stderr


def test_all_files_are_fetched_once_and_then_come_from_the_cache(hub, tmp_path):
    code, out, err = fetch(hub, tmp_path)
    assert code == 0, err
    assert {name: Path(path).read_bytes() for name, path in json.loads(out).items()} == CONTENT
    hub.asked.clear()
    assert fetch(hub, tmp_path)[0] == 0
    assert hub.asked == []  # the revision is pinned, so the cached files are current


def test_an_interrupted_download_resumes(hub, tmp_path):
    hub.faults["model.pth"] = "cut off"
    code, out, err = fetch(hub, tmp_path)
    if code:  # the library gave up at once, and the next call resumes
        code, out, err = fetch(hub, tmp_path)
    assert code == 0, err
    assert Path(json.loads(out)["model.pth"]).read_bytes() == CONTENT["model.pth"]
    ranges = [wanted for command, name, wanted in hub.asked if command == "GET" and name == "model.pth"]
    assert any(wanted and wanted != "bytes=0-" for wanted in ranges), "only the second half was requested again"


def test_a_truncated_file_is_one_sentence_and_is_not_kept(hub, tmp_path):
    hub.content["model.pth"] = CONTENT["model.pth"][:1000]
    code, _, err = fetch(hub, tmp_path)
    assert code == 1
    assert "not the published file (1000 bytes" in err
    assert not list(tmp_path.rglob("model.pth"))


def test_a_file_with_another_hash_is_deleted(hub, tmp_path):
    hub.content["model.pth"] = b"x" + CONTENT["model.pth"][1:]
    code, _, err = fetch(hub, tmp_path)
    assert code == 1
    assert "it was deleted" in err
    assert not list(tmp_path.rglob("model.pth"))
    assert not [path for path in tmp_path.rglob("blobs/*") if path.stat().st_size > 1000]
    hub.content["model.pth"] = CONTENT["model.pth"]
    assert fetch(hub, tmp_path)[0] == 0


def test_a_file_that_the_hub_lacks_is_named(hub, tmp_path):
    del hub.content["model.pth"]
    code, _, err = fetch(hub, tmp_path)
    assert code == 1
    assert "has no model.pth at revision 01234567" in err


def test_a_refused_download_names_the_status_and_the_file(hub, tmp_path):
    hub.faults["config.json"] = "refused"
    code, _, err = fetch(hub, tmp_path)
    assert code == 1
    assert "403" in err
    assert "config.json" in err


def test_offline_with_an_empty_cache_is_one_sentence(tmp_path):
    code, _, err = fetch("http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert code == 1
    assert "cannot be reached" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_no_network_with_an_empty_cache_is_one_sentence(tmp_path):
    """The library retries for about twenty seconds, so this test is slow."""
    code, _, err = fetch("http://127.0.0.1:9", tmp_path)
    assert code == 1
    assert "cannot be reached" in err
    assert "folder" in err


def test_offline_with_a_full_cache_works(hub, tmp_path):
    assert fetch(hub, tmp_path)[0] == 0
    code, _, err = fetch("http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert code == 0, err


def test_without_agreement_to_the_licence_nothing_is_requested(hub, tmp_path):
    code, _, err = fetch(hub, tmp_path, agreed="")
    assert code == 1
    assert "COQUI_TOS_AGREED=1" in err
    assert "no commercial use" in err
    assert hub.asked == []


def test_a_full_disk_is_reported_before_anything_is_fetched(hub, tmp_path):
    code, _, err = fetch(hub, tmp_path, free=1000)
    assert code == 1
    assert "HF_HOME" in err
    assert hub.asked == []


@pytest.mark.slow
def test_a_base_from_the_hub_has_the_stock_layout_and_its_licence(hub, bundle_base, tmp_path):
    """Run stage base's code for `base: xtts_v2`. The files of the tiny model replace the published ones."""
    names = ("config.json", "model.pth", "vocab.json", "dvae.pth", "mel_stats.pth", "speakers_xtts.pth")
    content = {name: (bundle_base / name).read_bytes() for name in names}
    hub.content = content | {"LICENSE.txt": b"Coqui Public Model License\n"}
    out = tmp_path / "models" / "base"
    given = {"repository": REPOSITORY, "revision": REVISION, "files": published(content), "out": str(out)}
    code, _, err = python(UNFOLD, given, hub.address, tmp_path / "home", "1", {})
    assert code == 0, err
    assert {path.name for path in out.iterdir()} == {*names, "LICENSE.txt", "voicetune.json"}
    assert (out / "LICENSE.txt").read_bytes() == b"Coqui Public Model License\n"
    assert (out / "model.pth").read_bytes() == content["model.pth"]
    ours = json.loads((out / "voicetune.json").read_text())
    assert ours["origin"] == f"{REPOSITORY}@{REVISION}"
    assert ours["vocoder"] == "hifigan"
    assert "no commercial use" in ours["licence"]
