"""Keeps the published voice under a name, and removes one.

DVC's lock is held meanwhile, so two of these commands do not disturb each other. DVC gives its lock up while a stage's
command runs; `keep` then finds that dvc.lock does not fit the voice.
"""

import datetime
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicetune import copies, dvc_lock, families, files, giving, outputs, space
from voicetune.errors import UserError
from voicetune.kept import voices
from voicetune.params import reading, whole
from voicetune.shapes import Record, read_json

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo

PUBLISHED = Path("models/voice")
_LOCK = Path("dvc.lock")
_AFTER = ("synthesize", "report")  # stages whose parameters do not change the voice or its figures


class Published(Record):
    """What is read of a published voice's voicetune.json."""

    published: str
    references: dict[str, Any]


def keep(name: str) -> Path:
    """Copy the published voice to `voices/NAME`, with its figures and parameters, and give it to DVC.

    Returns:
        the folder. If this fails, it is not there.

    Raises:
        UserError: the name cannot be used or is taken; no voice is published, or params.yaml or metrics/compare do not
            belong to it; another command of DVC runs here; or the disk is full.
    """
    voices.check_name(name)
    space.check_root(Path.cwd())
    out = voices.FOLDER / name
    files.check_own(out)
    with dvc_lock.hold(Path.cwd()) as repo:
        _check_free(name)
        _check_params()
        _check_results(repo)
        with copies.whole(out, out.with_name(f".{name}.part")) as part:
            _fill(part)
        try:
            _give(repo, out)
        except BaseException:
            _remove(repo, name)
            raise
    return out


def remove(name: str) -> bool:
    """Remove the folder of a kept voice and its file of DVC. DVC's cache stays.

    Returns:
        whether there was a file of DVC, which names the voice in the cache.

    Raises:
        UserError: there is no such voice; another command of DVC runs here; or a file cannot be removed.
    """
    check_kept(name)
    with dvc_lock.hold(Path.cwd()) as repo:
        known = voices.pointer(name).exists()
        _remove(repo, name)
    return known


def check_kept(name: str) -> None:
    """Require a kept voice of this name.

    Raises:
        UserError: there is none.
    """
    voices.check_name(name)
    space.check_root(Path.cwd())
    files.check_own(voices.FOLDER)
    if name not in voices.names():
        voices.find(name)  # which says why


def _give(repo: "Repo", out: Path) -> None:
    """Give a folder to DVC, and take it back from the cache: DVC leaves a copy as it is where it could make a link."""
    repo.scm_context.quiet = True  # DVC says what to commit, as this command does
    repo.add(str(out))
    copies.remove(out)
    repo.checkout([str(voices.pointer(out.name))])


def _check_free(name: str) -> None:
    taken = {path.name.removesuffix(".dvc").lower(): path for path in voices.FOLDER.glob("*")}
    if path := taken.get(name.lower()):
        kept = path.stem in voices.names()
        remedy = f"remove that voice: `voicetune voices --remove {path.stem}`" if kept else "move it away"
        raise UserError(f"{path} exists already; take another name, or {remedy}.")


def _check_params() -> None:
    """Check that params.yaml is the one that made the voice, as dvc.lock has it.

    Raises:
        UserError: a value has changed since, or a stage has run and those after it have not.
    """
    now = reading.read_yaml(reading.PATH)
    stages = reading.read_yaml(_LOCK).get("stages")
    stages = stages if isinstance(stages, dict) else {}
    made_of = {out["path"]: out.get("md5") for made in stages.values() for out in made.get("outs", ())}
    for stage, made in stages.items():
        if stage in _AFTER:
            continue
        for one in made.get("deps", ()):
            if made_of.get(one["path"], one.get("md5")) != one.get("md5"):
                raise UserError(f"{one['path']} was made anew after stage {stage} ran; run `dvc repro`.")
        params = made.get("params", {}).get(str(reading.PATH), {})
        for key, value in params.items():
            if whole.find(now, key) != value:
                raise UserError(
                    f"{reading.PATH} has another '{key}' than the one that made models/voice; run `dvc repro`, or"
                    f" restore it with `git restore {reading.PATH}`."
                )


def _check_results(repo: "Repo") -> None:
    """Check that the voice and its figures are those of dvc.lock. After `git checkout` alone they are another commit's.

    Raises:
        UserError: they are not.
    """
    for path in (PUBLISHED, giving.MEASURED.parent):
        for out in repo.index.outs:
            if out.fs_path == str(path.absolute()) and _is_changed(out):
                raise UserError(
                    f"{path} is not what dvc.lock names; run `dvc checkout {path}`, or `dvc pull {path}` if that"
                    " fails, or else `dvc repro`."
                )


def _is_changed(out: "Output") -> bool:
    try:
        # not `status`: that does not look at the folder if the cache lacks what dvc.lock names, as after `git pull`
        return "modified" in out.workspace_status().values()
    except OSError:  # a link into the cache, of which the cache lacks the file
        return True


def _fill(part: Path) -> None:
    """Write the folder of a kept voice. A link into DVC's cache is followed, so the copy has the file itself.

    Raises:
        UserError: no voice is published, or it is damaged, or metrics/compare has no figures of it.
    """
    read_json(PUBLISHED / families.FACTS, Published, "run `dvc repro -s -f publish`")
    before = PUBLISHED.stat().st_ino
    if not giving.row_of(PUBLISHED):
        raise UserError(
            f"{giving.MEASURED} has no figures of {PUBLISHED}; run `dvc repro` (or `dvc pull metrics/compare`), and"
            " then this again."
        )

    def copy(source: str, out: str) -> None:
        copies.copy(Path(source), Path(out), PUBLISHED)

    shutil.copytree(PUBLISHED, part, copy_function=copy, dirs_exist_ok=True)
    copies.copy(giving.MEASURED, part / voices.FIGURES)
    copies.copy(reading.PATH, part / voices.PARAMS)
    if PUBLISHED.stat().st_ino != before:
        raise UserError(f"{PUBLISHED} was made anew meanwhile; run this again.")
    facts = {"date": datetime.date.today().isoformat(), "revision": None if uncommitted() else revision()}
    with copies.written(part):
        (part / voices.FACTS).write_bytes(outputs.encode_json(facts))


def revision() -> str | None:
    """The commit that is checked out; None without git, or before the first commit."""
    return _git("rev-parse", "--verify", "--quiet", "HEAD") or None


def uncommitted() -> list[str]:
    """Which of the files that say how the voice was made differ from those of the last commit."""
    listed = _git("status", "--porcelain", "--", str(reading.PATH), str(_LOCK), "data/decisions.csv")
    return [line[2:].strip() for line in listed.splitlines()]


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, errors="replace")
    except OSError:
        return ""
    return done.stdout.rstrip() if done.returncode == 0 else ""


def _check_pointer(repo: "Repo", name: str) -> None:
    """Check that a voice's .dvc file names the voice's folder and nothing else, because DVC removes what it names.

    Raises:
        UserError: it names something else, or is a link.
    """
    pointer, folder = voices.pointer(name), (voices.FOLDER / name).resolve()
    stages = [] if pointer.is_symlink() else repo.stage.load_file(str(pointer))
    if [Path(out.fs_path).resolve() for stage in stages for out in stage.outs] != [folder]:
        raise UserError(
            f"{pointer} does not name {voices.FOLDER / name} alone, so nothing is removed; remove it by hand."
        )


def _remove(repo: "Repo", name: str) -> None:
    folder = voices.FOLDER / name
    try:
        if os.path.lexists(voices.pointer(name)):
            _check_pointer(repo, name)
            repo.remove(str(voices.pointer(name)), outs=True)
        if os.path.lexists(folder):
            copies.remove(folder)
    except OSError as error:
        raise UserError(files.refused(error.filename or folder, error, "removed")) from None
    space.remove_empty(Path.cwd() / voices.FOLDER, Path.cwd())
