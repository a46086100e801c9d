"""Looks at what needs the packages: the parameters, the recordings, torch, the recogniser, the disk, a remote."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from voicetune import readiness
from voicetune.data import decisions
from voicetune.data.readers.long import LongSource
from voicetune.doctor.machine import MISSING, OK, WARNING, Cards, Finding, Settings, cards, read_settings
from voicetune.errors import UserError, quoted
from voicetune.params import whole
from voicetune.params.training import PHASES
from voicetune.params.whole import Params
from voicetune.recognition import recogniser

_BUILDS = "https://pytorch.org/get-started/locally"
_PACKAGED = "tiny.en"  # as in recognition.recogniser (a test compares them)
_PACKAGES = {"s3": "dvc_s3", "ssh": "dvc_ssh"}


def look(root: Path) -> list[Finding]:
    """Look at everything that `machine.look` cannot. The working directory is `root`."""
    try:
        params = whole.load()
        readiness.check_params(params)
        readiness.check_base(params.base)
        decisions.read(decisions.PATH)
    except UserError as error:
        return [Finding(MISSING, str(error)), *check_torch(read_settings(root), cards())]
    return [
        Finding(OK, "params.yaml: no faults"), *_recordings(params), *check_torch(read_settings(root), cards()),
        *_recognisers(params), *_room(root, params), *_remotes(root),
    ]  # fmt: skip


def _room(root: Path, params: Params) -> list[Finding]:
    """The sentence of the check before a phase, if the disk has too little room for both phases."""
    try:
        readiness.check_room(root, PHASES[0], params)
    except UserError as error:
        return [Finding(MISSING, f"disk: {error}")]
    return []


def _recordings(params: Params) -> Iterator[Finding]:
    lacking = [source for source in params.prepare.sources if not Path(source.path).exists()]
    for source in lacking:
        pointer = f"{source.path}.dvc"
        remedy = f"`dvc pull {pointer}`" if Path(pointer).is_file() else "correct its path in params.yaml"
        yield Finding(MISSING, f"recordings: {source.path} ({source.name}) is not here; {remedy}")
    if not lacking:
        yield Finding(OK, f"recordings: all {len(params.prepare.sources)} sources are here")


def check_torch(settings: Settings, found: Cards) -> list[Finding]:
    """Whether torch can use the cards that the driver sees."""
    import torch

    if settings.device == "cpu" or not found.names:
        return []
    lacking = MISSING if settings.device == "cuda" else WARNING
    built = torch.version.cuda
    if torch.cuda.is_available():
        return [Finding(OK, f"torch: {torch.__version__} uses the GPU")]
    if not built:
        return [Finding(lacking, f"torch: {torch.__version__} is built for the CPU; take a build for CUDA: {_BUILDS}")]
    if found.cuda and _major(found.cuda) < _major(built):
        why = f"it is built for CUDA {built}, and the driver {found.driver} knows CUDA {found.cuda}; update the driver"
        return [Finding(lacking, f"torch: {why}, or take an older build: {_BUILDS}")]
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    why = "" if hidden is None else f" (CUDA_VISIBLE_DEVICES is '{hidden}')"
    return [
        Finding(lacking, f"torch: it finds no GPU, though the driver sees one{why}; docs/gpu.md says what it needs")
    ]


def _major(version: str) -> int:
    return int(version.split(".")[0])


def _recognisers(params: Params) -> Iterator[Finding]:
    long = any(isinstance(source, LongSource) for source in params.prepare.sources)
    asked = {"asr": bool(readiness.languages_read(params)), "quality.asr": True, "transcribe.asr": long}
    names = {"asr": params.asr, "quality.asr": params.quality.asr, "transcribe.asr": params.transcribe.asr}
    for key, name in names.items():
        if name and asked[key]:
            yield _recogniser(key, name)


def _recogniser(key: str, name: str) -> Finding:
    """Whether the weights are here. Nothing is downloaded."""
    from faster_whisper import download_model
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        if name == _PACKAGED or Path(name).is_dir():
            recogniser.weights(name, key)
        else:
            download_model(name, local_files_only=True)
    except LocalEntryNotFoundError:
        return Finding(WARNING, f"recogniser: {key} '{name}' is not here; the run downloads it, and needs a network")
    except UserError as error:
        return Finding(MISSING, f"recogniser: {error}")
    except Exception as error:  # a name that faster-whisper does not know, or one that the hub cannot have
        return Finding(MISSING, f"recogniser: {key} '{name}' is not known ({quoted(str(error), 120)}); correct it")
    return Finding(OK, f"recogniser: {key} '{name}' is here")


def _remotes(root: Path) -> Iterator[Finding]:
    """DVC's remotes, as far as that needs no network."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            found = {name: str(remote.get("url")) for name, remote in repo.config["remote"].items()}
    except DvcException as error:
        yield Finding(MISSING, f"DVC: it cannot read this project ({quoted(str(error), 200)}); run `dvc doctor`")
        return
    for name, url in found.items():
        package = _PACKAGES.get(urlsplit(url).scheme)
        if package and importlib.util.find_spec(package) is None:
            remedy = f"`pip install -c requirements.lock {package.replace('_', '-')}` (docs/remotes.md)"
            yield Finding(WARNING, f"remote: '{name}' ({url}) needs a package; {remedy}")
        elif not urlsplit(url).scheme and not Path(url).is_dir():
            yield Finding(WARNING, f"remote: '{name}' is the folder {url}, which is not here; mount it, or correct it")
        else:
            yield Finding(OK, f"remote: '{name}' ({url})")
