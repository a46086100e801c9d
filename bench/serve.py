"""Load the service with many clients at once, on this machine.

    python bench/serve.py                     # models/voice, which `make repro` made: 50 clients, 500 requests
    python bench/serve.py --waiting 16        # few may wait, so many are refused and come again
    python bench/serve.py --kill              # the service is killed under load, and started again
    python bench/serve.py --stock             # the stock client behind the same web server, too: serve_stock.py
    python bench/serve.py --requests 1000 --memory 100 300 600 1000    # its memory after so many answers
    python bench/serve.py --clients 1 --requests 10 --join 10     # long texts, nothing to batch with

Each client sends one request after the other. If it is refused (429, 503, 504), it waits as long as `Retry-After` says
and sends it again. Every text has one seed, so all its sounds must have the same bytes. The first sound is measured
from sending the request that is taken.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from voicetune import entry
from voicetune.errors import UserError

LINES = Path(__file__).with_name("lines.txt")
STOCK = Path(__file__).with_name("serve_stock.py")
TEXTS = 40
BYTES_PER_SECOND = 48_000  # of PCM
REFUSED = (429, 503, 504)


@dataclass
class Seen:
    """What all clients saw. sounds: the hashes of each text's sounds."""

    statuses: Counter = field(default_factory=Counter)
    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    seconds: float = 0.0
    sounds: dict[str, set[str]] = field(default_factory=dict)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=Path("models/voice"))
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--waiting", type=int, default=128, help="the service's --limit-waiting (128)")
    parser.add_argument("--join", type=int, default=1, help="so many lines are one text (1)")
    parser.add_argument("--tries", type=int, default=4)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--stock", action="store_true", help="measure the stock client's service, too")
    parser.add_argument("--memory", type=int, nargs="+", default=[], help="measure the memory after so many answers")
    return parser.parse_args()


def start(side: str, port: int, given: argparse.Namespace, temporary: str) -> tuple[subprocess.Popen, int]:
    """Start our service or the stock one, and wait until it listens: the process and its port."""
    ours = ["-m", "voicetune", "serve", "--voice", str(given.model)]
    ours += ["--limit-waiting", str(given.waiting), "--tries", str(given.tries)]
    command = [sys.executable, *(ours if side == "ours" else [str(STOCK), str(given.model)]), "--port", str(port)]
    log = Path(temporary).with_suffix(".log")
    environment = {**os.environ, "TMPDIR": temporary, "VOICETUNE_API_KEY": ""}
    with log.open("w") as out:
        process = subprocess.Popen(command, stderr=out, stdout=out, env=environment)
    for _ in range(600):
        if found := re.search(r"http://127.0.0.1:(\d+) serves", log.read_text()):
            return process, int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise UserError(f"the service did not start: {log.read_text()[-500:]}")


async def ask(client: httpx.AsyncClient, number: int, texts: list[str], voice: str, seen: Seen) -> None:
    """Send one request until it is taken."""
    text = texts[number % len(texts)]
    body = {"model": "tts-1", "voice": voice, "input": text, "seed": 1, "response_format": "pcm"}
    while True:
        begun = time.perf_counter()
        async with client.stream("POST", "/v1/audio/speech", json=body) as answer:
            first, data = 0.0, b""
            async for chunk in answer.aiter_raw():
                first = first or time.perf_counter() - begun
                data += chunk
        seen.statuses[answer.status_code] += 1
        if answer.status_code == 200:
            seen.first.append(first)
            seen.whole.append(time.perf_counter() - begun)
            seen.seconds += len(data) / BYTES_PER_SECOND
            seen.sounds.setdefault(text, set()).add(hashlib.sha256(data).hexdigest())
            return
        if answer.status_code not in REFUSED:
            raise UserError(f"a request got {answer.status_code}: {data[:300]!r}")
        await asyncio.sleep(float(answer.headers["retry-after"]))


async def load(url: str, given: argparse.Namespace, texts: list[str], seen: Seen) -> Counter:
    """Let all clients send their requests. Count how each request ended: well, or by the name of the error."""
    todo = iter(range(given.requests))
    ended: Counter = Counter()

    async def work(number: int) -> None:
        """One client. Its address is made up, as a proxy in front of the service would give it."""
        headers = {"X-Forwarded-For": f"192.0.2.{number}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120) as client:
            voice = (await client.get("/v1/voices")).json()["voices"][0]["id"]
            for one in todo:
                try:
                    await ask(client, one, texts, voice, seen)
                    ended["well"] += 1
                except httpx.TransportError as error:
                    ended[type(error).__name__] += 1
                    return

    await asyncio.gather(*(work(number) for number in range(given.clients)), return_exceptions=not given.kill)
    return ended


def percentile(values: list[float], share: float) -> float:
    return round(sorted(values)[min(len(values) - 1, int(share * len(values)))], 3)


async def watch(process: int, seen: Seen, after: list[int]) -> dict[int, int]:
    """The resident memory of a process in MiB after so many answers."""
    found = {}
    for count in after:
        while seen.statuses[200] < count:
            await asyncio.sleep(0.05)
        found[count] = memory_of(process)
    return found


def memory_of(process: int) -> int:
    return round(psutil.Process(process).memory_info().rss / 2**20)


def measure(side: str, given: argparse.Namespace, texts: list[str], temporary: str) -> dict[str, Any]:
    process, port = start(side, 0, given, temporary)
    url, seen = f"http://127.0.0.1:{port}", Seen()
    try:
        warm = argparse.Namespace(clients=8, requests=16, kill=False)
        asyncio.run(load(url, warm, texts, Seen()))
        before = counted(url)
        memory = {0: memory_of(process.pid)}
        begun = time.perf_counter()

        async def watched() -> Counter:
            watching = asyncio.create_task(watch(process.pid, seen, given.memory or [given.requests]))
            ended = await load(url, given, texts, seen)
            memory.update(await asyncio.wait_for(watching, 1))
            return ended

        ended = asyncio.run(watched())
        took = time.perf_counter() - begun
        told = counted(url) - before
    finally:
        process.terminate()
        process.wait(60)
    if told != seen.statuses or ended["well"] != given.requests:
        raise UserError(f"requests are lost: clients saw {seen.statuses}, the service counted {told}, {ended} ended.")
    unequal = [text for text, sounds in seen.sounds.items() if len(sounds) > 1]
    if unequal:
        raise UserError(f"{len(unequal)} texts have several sounds with one seed: {unequal[:3]}")
    return {
        "side": side, "statuses": dict(seen.statuses), "clients": given.clients, "texts": len(texts),
        "tries": given.tries, "waiting": given.waiting, "seconds": round(took, 1),
        "requests_per_second": round(given.requests / took, 2), "sound_per_second": round(seen.seconds / took, 2),
        "first_p50": percentile(seen.first, 0.5), "first_p95": percentile(seen.first, 0.95),
        "whole_p50": percentile(seen.whole, 0.5), "whole_p95": percentile(seen.whole, 0.95),
        "memory_mib": memory,
    }  # fmt: skip


def counted(url: str) -> Counter:
    """The answers that the service has counted, by status."""
    found = re.findall(r'voicetune_requests_total\{status="(\d+)"\} (\S+)', httpx.get(f"{url}/metrics").text)
    return Counter({int(status): int(float(count)) for status, count in found})


def kill(given: argparse.Namespace, texts: list[str], temporary: str) -> dict[str, Any]:
    """Kill the service in the middle of the load, and start it again at the same port."""
    process, port = start("ours", 0, given, temporary)
    url, seen = f"http://127.0.0.1:{port}", Seen()

    async def killed() -> Counter:
        running = asyncio.create_task(load(url, given, texts, seen))
        while seen.statuses[200] < given.requests // 10:
            await asyncio.sleep(0.1)
        process.kill()
        return await asyncio.wait_for(running, 10)  # no client hangs

    ended = asyncio.run(killed())
    process.wait()
    left = sorted(path.name for path in Path(temporary).rglob("*") if path.is_file())
    process, _ = start("ours", port, given, temporary)
    again = Seen()
    asyncio.run(load(url, argparse.Namespace(clients=8, requests=TEXTS, kill=False), texts, again))
    process.terminate()
    process.wait(60)
    same = all(again.sounds[text] == sounds for text, sounds in seen.sounds.items())
    return {
        "clients": given.clients, "ended": dict(ended), "left_behind": left, "after_restart": dict(again.statuses),
        "same_bytes_after_restart": same,
    }  # fmt: skip


def main() -> None:
    given = arguments()
    lines = LINES.read_text(encoding="utf-8").splitlines()
    joined = [" ".join(lines[i : i + given.join]) for i in range(0, len(lines), given.join)]
    texts = joined[:: max(1, len(joined) // TEXTS)]
    with tempfile.TemporaryDirectory() as temporary:
        if given.kill:
            print(json.dumps(kill(given, texts, temporary)))
        for side in () if given.kill else ("ours", "stock") if given.stock else ("ours",):
            print(json.dumps(measure(side, given, texts, temporary)), flush=True)
        Path(temporary).with_suffix(".log").unlink()


if __name__ == "__main__":
    entry.run(main)
