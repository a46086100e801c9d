"""Looks at the machine with nothing but Python's own library, so that it works before the set-up.

Old versions of Python have to read this file, to say that they are too old. So it keeps to what Python 3.8 knows.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

OK, WARNING, MISSING = "ok", "warning", "missing"
_VERSIONS = ((3, 11), (3, 13))
_SETUP_GB = 7.0  # README.md
# GB of disk for the whole run, of memory, and of a card's memory: README.md, docs/gpu.md. After the default run, data,
# models, metrics and DVC's cache have 1.0 GB (`du`); states of trainings and room to spare come to that.
_NEEDS = {"tiny": (3.0, 3.0, 0.0), "xtts_v2": (40.0, 12.0, 12.0)}
_WRITTEN = (".", "data", "metrics", "models", "state", ".dvc", ".dvc/cache", ".dvc/tmp")
_AGREED = "COQUI_TOS_AGREED"


class Finding(NamedTuple):
    """A line of the answer. state: OK, WARNING or MISSING; MISSING is what the run cannot do without."""

    state: str
    what: str


class Settings(NamedTuple):
    """What params.yaml says about the machine; read without a library for YAML."""

    base: str
    device: str


class Cards(NamedTuple):
    """NVIDIA's cards. names: of those that the driver sees. gigabytes: of the smallest. cuda: the newest version that
    the driver knows. fault: why there are none although the machine has one; empty if it has none."""

    names: tuple[str, ...]
    gigabytes: float
    driver: str
    cuda: str
    fault: str


def look(root: Path) -> list[Finding]:
    """Look at everything that needs no package.

    Args:
        root: the project's folder.
    """
    settings = read_settings(root)
    found = [_python(), _setup(root), _disk(root, settings), _memory(settings), _writing(root), gpu(settings, cards())]
    return [*found, _git(root), *_licence(root, settings)]


def read_settings(root: Path) -> Settings:
    """Read the keys `base` and `device` of params.yaml; the defaults where it has none or cannot be read."""
    try:
        text = (root / "params.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = [re.search(rf"^{key}:[ \t]*['\"]?([^#'\"\n]*)", text, re.MULTILINE) for key in ("base", "device")]
    base, device = (one.group(1).strip() if one else "" for one in found)
    return Settings(base or "tiny", device or "auto")


def _python() -> Finding:
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if not _VERSIONS[0] <= sys.version_info[:2] <= _VERSIONS[1]:
        others = [name for name in ("python3.13", "python3.12", "python3.11") if shutil.which(name)]
        remedy = f"use the other one: make PYTHON={others[0]}" if others else "install one of these"
        return Finding(MISSING, f"Python: this is {here}, and voicetune needs 3.11 to 3.13; {remedy}")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        return Finding(MISSING, f"Python: {here} has no venv; install it (Debian: apt-get install python{here}-venv)")
    return Finding(OK, f"Python: {here}")


def is_set_up(root: Path) -> bool:
    """Whether the packages are installed: in .venv, or where this Python finds them."""
    return (root / ".venv/.ready").is_file() or importlib.util.find_spec("torch") is not None


def _setup(root: Path) -> Finding:
    if is_set_up(root):
        return Finding(OK, "set-up: the packages are installed")
    return Finding(WARNING, f"set-up: not done yet; `make setup` does it, and needs a network ({_SETUP_GB:.0f} GB)")


def _disk(root: Path, settings: Settings) -> Finding:
    free = shutil.disk_usage(root).free / 1e9
    needed = {} if is_set_up(root) else {"the set-up": _SETUP_GB}
    if settings.base in _NEEDS and not (root / "models/base").is_dir():  # else `readiness.check_room` knows the sizes
        needed["the run"] = _NEEDS[settings.base][0]
    told = " and ".join(f"{what} needs about {size:.0f} GB" for what, size in needed.items())
    told = f"disk: {free:.1f} GB are free" + (f"; {told}" if told else "")
    if free < sum(needed.values()):
        return Finding(MISSING, f"{told}; make room, or work on another disk")
    return Finding(OK, told)


def _memory(settings: Settings) -> Finding:
    needed = _NEEDS.get(settings.base, (0.0, 0.0))[1]
    here = _memory_bytes() / 1e9
    told = f"memory: {here:.1f} GB" if here else "memory: not known"
    if here < needed:
        return Finding(WARNING, f"{told}, and the base {settings.base} needs about {needed:.0f}; see docs/gpu.md")
    return Finding(OK, told)


def _memory_bytes() -> int:
    """The machine's memory, or what a container may take of it; 0 if that is not known."""
    if sys.platform == "win32":  # Python's own library does not know it there
        return 0
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
    for place in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return min(whole, int(Path(place).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no container; or the limit is "max"
            continue
    return whole


def _writing(root: Path) -> Finding:
    for place in (root / name for name in _WRITTEN if (root / name).is_dir()):
        if not os.access(str(place), os.W_OK):
            return Finding(MISSING, f"writing: {place} cannot be written; correct its owner and permissions")
    try:
        with tempfile.TemporaryFile(dir=str(root)):
            pass
    except OSError as error:
        return Finding(MISSING, f"writing: {root} cannot be written ({error.strerror}); correct that")
    return Finding(OK, "writing: the project's folders can be written")


def cards() -> Cards:
    """Ask NVIDIA's driver for its cards."""
    asked = _output("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits")
    rows = [[cell.strip() for cell in line.split(",")] for line in asked.splitlines()]
    rows = [row for row in rows if len(row) == 3 and row[2].isdigit()]
    if rows:
        cuda = re.search(r"CUDA Version: *([\d.]+)", _output("nvidia-smi"))
        smallest = min(int(row[2]) for row in rows) * 2**20 / 1e9
        return Cards(tuple(row[0] for row in rows), smallest, rows[0][1], cuda.group(1) if cuda else "", "")
    if shutil.which("nvidia-smi"):
        return Cards((), 0.0, "", "", "NVIDIA's driver sees no card (`nvidia-smi` says why)")
    return Cards((), 0.0, "", "", "a card of NVIDIA is there, but no driver; install NVIDIA's" if _on_the_bus() else "")


def _on_the_bus(maker: str = "0x10de") -> bool:
    """Whether Linux lists a display controller of a maker, by default NVIDIA."""
    for device in Path("/sys/bus/pci/devices").glob("*"):
        try:
            vendor, kind = ((device / name).read_text(encoding="ascii").strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == maker and kind.startswith("0x03"):
            return True
    return False


def gpu(settings: Settings, found: Cards) -> Finding:
    """What there is to train on."""
    lacking = MISSING if settings.device == "cuda" else WARNING
    if settings.device == "cpu":
        return Finding(OK, "GPU: none is used (device: cpu)")
    if found.names:
        told = (
            f"GPU: {', '.join(found.names)}, {found.gigabytes:.0f} GB, driver {found.driver}, CUDA {found.cuda or '?'}"
        )
        if found.gigabytes < _NEEDS.get(settings.base, (0.0, 0.0, 0.0))[2]:
            return Finding(WARNING, f"{told}; docs/gpu.md says what to set for less than 12 GB")
        return Finding(OK, told)
    if found.fault:
        return Finding(lacking, f"GPU: {found.fault}")
    if (platform.system(), platform.machine()) == ("Darwin", "arm64") and settings.device != "cuda":
        return Finding(OK, "GPU: that of Apple")
    amd = "; docs/systems.md says what one of AMD needs, and how to ask torch" if _on_the_bus("0x1002") else ""
    if settings.device == "cuda" and amd:
        return Finding(WARNING, f"GPU: none of NVIDIA{amd}")
    if settings.device != "auto":
        return Finding(MISSING, f"GPU: none, but device is {settings.device}; set device: auto in params.yaml")
    if settings.base == "tiny":
        return Finding(OK, "GPU: none; the tiny base needs none")
    return Finding(WARNING, f"GPU: none; a base as large as XTTS v2 takes many hours on a CPU (docs/gpu.md){amd}")


def _git(root: Path) -> Finding:
    if not shutil.which("git"):
        return Finding(WARNING, "git: not found; install it to commit results, and for experiments and `make clean`")
    if not all(_output("git", "-C", str(root), "config", key).strip() for key in ("user.name", "user.email")):
        remedy = "`git config --global user.name ...` and `git config --global user.email ...`"
        return Finding(WARNING, f"git: it does not know who you are, so it cannot commit; {remedy}")
    return Finding(OK, "git: it knows who commits")


def _licence(root: Path, settings: Settings) -> list[Finding]:
    if settings.base != "xtts_v2":
        return []
    if os.environ.get(_AGREED) == "1" or (root / "models/base").is_dir():
        return [Finding(OK, "licence: you agreed to that of the published XTTS v2")]
    remedy = f"read https://coqui.ai/cpml (no commercial use), and if you agree: export {_AGREED}=1"
    return [Finding(MISSING, f"licence: the published XTTS v2 has one; {remedy}")]


def _output(*command: str) -> str:
    """What a command prints; empty if it fails, is not there, or takes too long."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace", timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
