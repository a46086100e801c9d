"""Check and fetch what a run needs before a phase trains: the recogniser for each language, packages, disk space.

A phase starts this check whenever it trains. The check runs in its own process, so that it does not change the
training's memory, threads and GPU. It gives no result and is no dependency, so another recogniser or another machine
causes no new training.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import Field, ValidationError

from voicetune import families, files, space
from voicetune.data.readers.long import DETECTED, LongSource
from voicetune.errors import UserError, quoted
from voicetune.measures import catalogue, choosing
from voicetune.params import reading
from voicetune.params.languages import LANGUAGES
from voicetune.params.shared import BUNDLE, TINY
from voicetune.params.training import PHASES, Phase
from voicetune.params.whole import Params
from voicetune.shapes import Record, describe_fault
from voicetune.training import state_folders

_BASE = Path("models/base")
_LOCK = Path("dvc.lock")
_MODELS = {"train_phase1": ("phase1", "phase2", "voice"), "train_phase2": ("phase2", "voice")}
_STATES = 3  # states on the disk at once, as in `training.checkpoint` (a test compares them)
_MOMENTS = {"adamw": 2.0, "adamw8bit": 0.5}  # size of the optimizer's moments, in multiples of the weights
_SPARE_BYTES = 500_000_000  # for clips, samples and figures made later


class _Bundle(Record):
    languages: list[str]


class _Folder(_Bundle):
    languages: list[str] = Field(default=[])


def ask(phase: str) -> Callable[[], None]:
    """Start another process that checks what the run needs from this phase on. Meanwhile, the phase can import.

    Returns:
        a function that waits for the check. It raises UserError if something is missing. Call it before training.
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-m", "voicetune", "ready", phase]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def wait() -> None:
        _, message = process.communicate()
        if process.returncode:
            message = message.strip() or f"{' '.join(command[1:])} ended with status {process.returncode}."
            raise UserError(message.splitlines()[-1].removeprefix("error: "))

    return wait


def check(params: Params, phase: str) -> None:
    """Check packages and disk space, then open the recogniser for each language it will read, fetched if needed.

    Raises:
        UserError: names the key in params.yaml and the remedy.
    """
    check_params(params)
    check_room(Path.cwd(), phase, params)
    from voicetune.recognition.recogniser import Recogniser  # imports CTranslate2, which the checks above do not need

    for language in languages_read(params):
        Recogniser(params.asr, language, params.device if is_measured(params) else "cpu")


def check_params(params: Params) -> None:
    """Check params.yaml and the installed packages, without opening a model.

    Raises:
        UserError: see `check`.
    """
    from voicetune.recognition.recogniser import refuse_english_only

    _check_languages(params)
    for language in languages_read(params):
        refuse_english_only(params.asr, language)
    for source in params.prepare.sources:
        if isinstance(source, LongSource):
            refuse_english_only(params.transcribe.asr, source.language, "transcribe.asr")
    for name in PHASES:
        if getattr(params, name).optimizer == "adamw8bit" and importlib.util.find_spec("bitsandbytes") is None:
            raise UserError(
                f"{name}.optimizer is adamw8bit, but bitsandbytes is not installed; run"
                " `pip install -c requirements.lock bitsandbytes`, or set it to adamw in params.yaml."
            )
    if params.synthesize.watermark and importlib.util.find_spec("perth") is None:
        raise UserError(
            "synthesize.watermark is true, but resemble-perth is not installed; run"
            " `pip install -c requirements.lock resemble-perth==1.0.1`, or set it to false in params.yaml."
        )


def check_base(base: str) -> None:
    """Check that a base that is not made yet is a known name or a path that exists.

    Where dvc.lock says that models/base was made from it, a remote may have brought that folder from another machine.

    Raises:
        UserError: it is neither.
    """
    names = [name for family in families.TABLE.values() for name in family.bases]
    if base in names or os.path.exists(base) or base == _made_base():
        return
    raise UserError(
        f"base: {quoted(base, 100)} is missing; correct `base` in params.yaml to the path of a model folder or a"
        f" checkpoint, or to {' or '.join(names)}."
    )


def _made_base() -> str | None:
    """What models/base was made from, by dvc.lock; None if that is not known."""
    try:
        return reading.read_yaml(_LOCK)["stages"]["base"]["params"]["params.yaml"]["base"]
    except (UserError, KeyError, TypeError):
        return None


def _check_languages(params: Params) -> None:
    """Check the languages before anything runs. Only those of the embedded base and of a folder are known here."""
    facts, again, shape = BUNDLE / "bundle.json", f"restore it with `git checkout {BUNDLE}`", _Bundle
    if params.base != TINY:
        facts, again, shape = Path(params.base) / "config.json", "take the file that belongs to the model", _Folder
    if not files.is_file(facts):
        return
    try:
        known = shape.model_validate_json(files.read_text(facts, again)).languages
    except ValidationError as error:
        raise UserError(f"{facts} {describe_fault(error)}; {again}.") from None
    if params.base != TINY:
        known = [*known, *LANGUAGES]  # whether a folder speaks these is checked when it is opened
    wanted = {f"prepare.sources ({source.name})": source.language for source in params.prepare.sources}
    for key, language in {**wanted, "synthesize.language": params.synthesize.language}.items():
        if language not in known:
            raise UserError(
                f"{key} is '{language}', but the {params.base} base speaks {' and '.join(known)} only; correct the"
                " language, take another base (presets/xtts_v2.yaml), or add the language to it"
                " (docs/new-languages.md)."
            )


def languages_read(params: Params) -> list[str]:
    """The languages that the recogniser will read: those of the recordings if a measure uses it, and that of the
    samples if their words are checked."""
    chosen_by = {part for name in PHASES for part in choosing.measures_of(getattr(params, name).select)}
    asked = is_measured(params) or catalogue.reads(chosen_by)
    found = {source.language for source in params.prepare.sources} - {DETECTED} if asked else set()
    return sorted(found | ({params.synthesize.language} if params.synthesize.check_words else set()))


def is_measured(params: Params) -> bool:
    """Whether stages ceiling and evaluate use the recogniser on what is spoken."""
    return params.speak.sentences > 0 and catalogue.reads(params.evaluate.measures)


def check_room(root: Path, phase: str, params: Params) -> None:
    """Check that the disk has room for what is still to be written: the phase's states, the models, DVC's copies.

    Raises:
        UserError: it has not.
    """
    base = root / _BASE
    weights, network = families.layout(base).count_bytes(base)
    if not weights:
        return  # stage base has not run; the phase reports that itself
    folder, models = _bytes(base), _MODELS[phase]
    begun = sum(map(_bytes, state_folders.root(root).glob(f"{phase}-*")))  # states of the other phase stay
    states = max(0, _STATES * state_bytes(network, getattr(params, phase)) - begun)
    needed = states + folder * sum(not (root / "models" / name).exists() for name in models)
    copies = weights * (len(models) - 1)  # stage publish copies a model that the cache already has
    _check_free(root, needed + _SPARE_BYTES, f"{phase}, and the models after it")
    for cache in _copying_cache(root):
        same = cache.stat().st_dev == root.stat().st_dev
        _check_free(
            cache, copies + (needed + _SPARE_BYTES if same else 0), f"{phase}, the models after it and DVC's copies"
        )


def state_bytes(network: int, phase: Phase) -> int:
    """Estimate the bytes of one state of a phase: weights, the optimizer's moments, the best weights.

    Args:
        network: bytes of the weights of the network that is trained.
    """
    moments = 0.0 if phase.lora_rank is not None else _MOMENTS[phase.optimizer]
    return int((2 + moments) * network)


def _check_free(place: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"{place} has {free / 1e9:.1f} GB free, and {what} will need about {needed / 1e9:.1f} GB; make room (`make"
            " space` shows what takes it), or set lora_rank or optimizer: adamw8bit in params.yaml for smaller states."
        )


def _copying_cache(root: Path) -> Iterator[Path]:
    """Yield DVC's cache folder if DVC copies files into it, so that they take their space a second time."""
    if not (root / ".dvc").is_dir():
        return
    from dvc_objects.fs.generic import test_links  # a second of imports
    from dvc_objects.fs.local import LocalFileSystem

    cache, links = space.dvc_cache(root)
    cache.mkdir(parents=True, exist_ok=True)
    disk = LocalFileSystem()
    if test_links(links, disk, str(cache), disk, str(root / "models" / "any"))[:1] in ([], ["copy"]):
        yield cache


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
