"""The command `compare`: writes the page about several revisions."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from voicetune import copies, files, space, terminal
from voicetune.errors import UserError, shown
from voicetune.forget import cache
from voicetune.revisions import naming, page, results, snapshots
from voicetune.revisions.naming import Revision
from voicetune.revisions.snapshots import Snapshot

_CACHE = ".cache"  # which git ignores


def run(root: Path, names: Sequence[str], out: Path, fetch: bool = False) -> None:
    """Compare revisions, and write the page and its sounds into a folder.

    Args:
        names: see `naming.find`.
        out: a folder to be made, or one that this command made before, which is replaced.
        fetch: get from the remote what DVC's cache lacks.

    Raises:
        UserError: a revision does not exist or has no results, the folder holds something else, or the remote lacks a
            result.
    """
    space.check_root(root)
    check_place(out)
    found = naming.find(root, names)
    with tempfile.TemporaryDirectory(prefix="compare-", dir=_place(root)) as temporary:
        taken = _take(root, found, Path(temporary, "first"))
        missing = [one for one in taken if fetch and one.missing and one.revision.commit]
        for one in missing:
            snapshots.fetch(root, one)
        if missing:
            taken = _take(root, found, Path(temporary, "second"))
            _check_fetched(taken)
        measured = [results.read(one) for one in taken]
        with copies.whole(out, out.with_name(f".{out.name}.part")) as part:
            notes = page.write(measured, part)
    for note in notes:
        print(shown(note))
    print(shown(f"{out / page.PAGE}: {', '.join(one.name for one in found)}"))


def _place(root: Path) -> Path:
    """The project's folder for what a command needs while it runs. If it is killed, no sound is left elsewhere."""
    place = root / _CACHE
    with files.writing(place):
        place.mkdir(exist_ok=True)
    return place


def _take(root: Path, found: Sequence[Revision], place: Path) -> list[Snapshot]:
    store = cache.open_cache(space.dvc_cache(root)[0].resolve())
    taken = []
    for i, revision in enumerate(terminal.track(found, "reading")):
        folder = place / str(i)
        folder.mkdir(parents=True)
        taken.append(snapshots.take(root, revision, store, folder))
    return taken


def _check_fetched(taken: Sequence[Snapshot]) -> None:
    """Require that no commit lacks a result. DVC says nothing if there is no remote, or if it lacks a file."""
    for one in taken:
        if one.missing and one.revision.commit:
            raise UserError(
                f"no remote has {one.missing[0]} of {one.revision.name}, or there is no remote, or it does not answer; "
                "push the results where they are, or run this without --fetch, to see what there is."
            )


def check_place(out: Path) -> None:
    """Require a folder that can be made, or one with nothing but a page of this command.

    Raises:
        UserError: it is something else.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"{out} is a file or a link, but --out is a folder to be made; choose another name.")
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if there and not (there <= {page.PAGE, page.SOUNDS} and page.is_own(out)):
        raise UserError(f"{out} holds other files, which this command would remove; choose another folder as --out.")
