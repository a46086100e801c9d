"""Show disk usage by kind, and remove what can be made or downloaded again.

Nothing here removes what git tracks, what lies outside the project's folder, or what a link points to.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from voicetune import families, moving
from voicetune.errors import UserError, quoted
from voicetune.files import is_file
from voicetune.training import state_folders

_CLIPS = ("data/transcripts", "data/clips", "data/as_recorded.csv", "data/quality", "data/quality.html", "data/codes")
_SPOKEN = ("data/spoken", "data/samples", "data/heard", "data/choice")
MADE = (*_CLIPS, *_SPOKEN, "models", "metrics", "dvc_plots")
KEPT = ("metrics/run",)  # what runs took on this machine; running a stage again would give other figures
_MOST_SETTINGS = 16_384  # bytes of .dvc/config; each remote takes some 200


@dataclass(frozen=True)
class Kind:
    """A row of the table. places: below the project's folder, or absolute; clean: the command that cleans them."""

    name: str
    places: tuple[str, ...]
    clean: str


@dataclass(frozen=True)
class Row:
    name: str
    bytes: int
    clean: str


def kinds(root: Path) -> list[Kind]:
    """The kinds of files, in the order in which they are counted."""
    return [
        # Counted first, because other files may be hard-linked to it: each row then shows what its command would free.
        Kind("DVC's cache", (str(dvc_cache(root)[0]),), "make clean-cache"),
        Kind("virtual environment", (".venv",), "make clean-venv"),
        Kind("recordings", ("data/raw",), "yours: `voicetune forget` a speaker"),
        Kind("clips and codes", _CLIPS, "make clean"),
        Kind("transcripts of long recordings", (".cache/transcripts",), "rm -r .cache/transcripts"),
        Kind("spoken", _SPOKEN, "make clean"),
        Kind("models", ("models",), "make clean"),
        Kind("kept voices", ("voices",), "`voicetune voices --remove NAME`"),
        Kind("figures and report", ("metrics", "dvc_plots"), "make clean"),
        Kind("pages of revisions, and sweeps' logs", ("compared", "sweeps"), "rm -r compared sweeps"),
        Kind("states of unfinished trainings", ("state",), "make clean-states"),
        *(Kind(name, (str(place),), clean) for hub in families.hub() for name, place, clean in hub.downloads()),
        Kind("making of the tiny base", ("pretrain/work",), "rm -r pretrain/work"),
    ]


def measure(root: Path) -> list[Row]:
    """Measure the space of each kind and of the rest of the project's folder. Empty kinds are left out.

    Hard-linked files count once. A symbolic link counts as itself, not as its target.

    Raises:
        UserError: this is not the project's folder.
    """
    check_root(root)
    known = kinds(root)
    places = {root / place for kind in known for place in kind.places}
    seen: set[tuple[int, int]] = set()
    rows = [Row(kind.name, sum(_bytes(root / place, seen) for place in kind.places), kind.clean) for kind in known]
    rows.append(Row("code, git and the rest", _bytes(root, seen, places), ""))
    return [row for row in rows if row.bytes]


def table(rows: list[Row]) -> Table:
    """The rows and their sum, for a terminal."""
    shown = Table("what", "size", "cleaned by")
    shown.columns[1].justify = "right"
    for row in rows:
        shown.add_row(row.name, readable(row.bytes), row.clean)
    shown.add_section()
    shown.add_row("together", readable(sum(row.bytes for row in rows)), "")
    return shown


def readable(count: int) -> str:
    """Bytes as kB, MB or GB, decimal."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"


def made(root: Path) -> list[Path]:
    """List what the pipeline can make again: files and links that .gitignore names, and none that git tracks.

    Raises:
        UserError: this is not the project's folder, or git does not answer.
    """
    check_root(root)
    command = ["git", "ls-files", "-z", "--others", "--ignored", "--exclude-from=.gitignore", "--", *MADE]
    answer = subprocess.run(command, cwd=root, capture_output=True)
    if answer.returncode:
        reason = os.fsdecode(answer.stderr).strip().removeprefix("fatal: ")
        raise UserError(f"git does not say what it tracks in {root} ({reason}); remove what you want by hand.")
    # A name that ends with "/" is another git repository.
    names = [name for name in os.fsdecode(answer.stdout).split("\0") if name and not name.endswith("/")]
    return [root / name for name in names if not name.startswith(tuple(f"{kept}/" for kept in KEPT))]


def remove_made(root: Path) -> tuple[int, int]:
    """Remove the files that `made` lists, and the folders that are then empty.

    Returns:
        the number of files removed, and their bytes.

    Raises:
        UserError: see `made`; or a file cannot be removed.
    """
    files = [path for path in made(root) if is_inside(path, root)]
    freed = 0
    for path in files:
        size = path.lstat().st_size
        try:
            moving.unlink(path)
        except OSError as error:
            raise UserError(f"{path} cannot be removed ({error.strerror}); check its owner and permissions.") from None
        freed += size
    for place in MADE:
        remove_empty(root / place, root)
    return len(files), freed


def remove_states(root: Path, yes: bool) -> int:
    """Remove the states of unfinished trainings, after asking.

    Args:
        yes: do not ask.

    Returns:
        the number of states removed.

    Raises:
        UserError: a training uses one, there is no terminal, the answer is no, or they lie outside the project.
    """
    check_root(root)
    states = state_folders.find(state_folders.root(root))
    for one in states:
        if not is_inside(one.folder / "lock", root):
            raise UserError(f"{one.folder} is a link out of this folder; remove what it points to by hand.")
    state_folders.check_unused(states)
    if states:
        size = readable(sum(one.bytes for one in states))
        confirm(f"Remove {len(states)} unfinished trainings ({size})? None of them can go on after that.", yes)
    for one in states:
        state_folders.remove(one.folder)
    return len(states)


def collect_garbage(root: Path, yes: bool) -> None:
    """Let DVC remove cached data that this workspace does not use (`dvc gc -w`), after asking.

    Args:
        yes: do not ask.

    Raises:
        UserError: the cache lies outside the project, there is no terminal, the answer is no, or DVC failed.
    """
    check_root(root)
    if not (cache := dvc_cache(root)[0]).resolve().is_relative_to(root.resolve()):
        raise UserError(
            f"the cache {cache} lies outside this repository, so other workspaces may need what is in it;"
            " name them all: `dvc gc --workspace --projects FOLDER [FOLDER ...]`."
        )
    print(
        "Kept: the data that dvc.lock and the .dvc files here name now.\n"
        "Removed: the data of experiments, of other branches and of earlier commits, earlier recordings too.\n"
        "To get data back later, first send it to a remote with `dvc push --all-commits`; `dvc pull` then fetches it.",
        flush=True,
    )
    confirm(f"Clean the cache in {cache}?", yes)
    if subprocess.run([sys.executable, "-m", "dvc", "gc", "--workspace", "--force"], cwd=root).returncode:
        raise UserError("DVC did not clean its cache; it printed the reason above.")


def confirm(question: str, yes: bool) -> None:
    """Ask on a terminal.

    Raises:
        UserError: the answer is not yes, or there is no terminal and `yes` is not set.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError("there is no terminal to ask in, so nothing is removed; add YES=1 to `make`, or --yes.")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise UserError("nothing is removed.")


def check_root(root: Path) -> None:
    """Require the project's folder.

    Raises:
        UserError: it is another one.
    """
    if not (root / "dvc.yaml").is_file() or not (root / ".dvc").is_dir():
        raise UserError(f"{root} has no dvc.yaml or .dvc; run this in the repository's folder.")


def dvc_cache(root: Path) -> tuple[Path, list[str]]:
    """The folder of DVC's cache, and the types of links that DVC makes into it, the preferred one first.

    Raises:
        UserError: `.dvc/config` or `.dvc/config.local` is damaged or too large, or `.git` is no repository.
    """
    from dvc.exceptions import DvcException  # a second of imports
    from dvc.repo import Repo

    for settings in (root / ".dvc/config", root / ".dvc/config.local"):
        _check_settings(settings)
    try:
        with Repo(str(root)) as repo:
            return Path(repo.cache.local_cache_dir), list(repo.cache.local.cache_types)
    except ValueError as error:  # dulwich raises it if .git is no repository
        raise UserError(f"{root / '.git'} is no repository of git ({error}); restore it.") from None
    except DvcException as error:
        raise UserError(f"DVC cannot read {root / '.dvc/config'} ({quoted(str(error), 200)}); correct it.") from None


def _check_settings(path: Path) -> None:
    """Require a plain file of a sensible size, if there is one: DVC reads a line of 100,000 brackets for minutes."""
    if path.exists() and not is_file(path):
        raise UserError(f"{path} is no plain file; restore it with `git checkout`, or remove it.")
    if path.exists() and (size := path.stat().st_size) > _MOST_SETTINGS:
        raise UserError(f"{path} has {size:,} bytes, too many for settings of DVC; shorten it.")


def is_inside(path: Path, root: Path) -> bool:
    """Whether no folder above the path is a link. Whether the path itself is one does not matter."""
    return path.parent.resolve() == root.resolve() / path.parent.relative_to(root)


def _bytes(place: Path, seen: set[tuple[int, int]], but: set[Path] | None = None) -> int:
    total = 0
    for path in _files(place, but or set()):
        try:
            stat = path.lstat()
        except OSError:  # removed in the meantime
            continue
        if stat.st_nlink == 1 or (stat.st_dev, stat.st_ino) not in seen:
            seen.add((stat.st_dev, stat.st_ino))
            total += stat.st_size
    return total


def _files(place: Path, but: set[Path]) -> Iterator[Path]:
    """Yield the files and links of a folder, or the path itself if it is one. Folders in `but` are not entered."""
    if place.is_symlink() or place.is_file():
        yield place
        return
    for folder, folders, files in os.walk(place):
        here = Path(folder)
        yield from (here / name for name in files if here / name not in but)
        yield from (here / name for name in folders if (here / name).is_symlink())
        folders[:] = [name for name in folders if here / name not in but]


def remove_empty(place: Path, root: Path) -> None:
    """Remove the empty folders in a folder, and the folder itself if it is empty."""
    if place.is_symlink() or not is_inside(place, root):
        return
    for folder, _, _ in os.walk(place, topdown=False):
        if not os.listdir(folder):
            os.rmdir(folder)
