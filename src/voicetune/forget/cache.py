"""Finds the objects in DVC's cache that have a speaker's recordings, or anything that was made of them."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voicetune import families
from voicetune.data.consent import KEY as CONSENT
from voicetune.forget.history import History, Record
from voicetune.forget.recordings import is_sound

LARGEST_FACTS = 2**22  # bytes of a voicetune.json
_HASH = re.compile(r"[0-9a-f]{30}(\.dir)?")
TABLE = "clips.csv"  # of data/clips and data/codes
_TELLING = (TABLE, families.FACTS)  # say whose a folder is
TRANSCRIPTS = "data/transcripts"


@dataclass(frozen=True)
class Cache:
    """DVC's cache. objects: the file of each hash. strays: files with other names, such as unfinished copies."""

    folder: Path
    objects: dict[str, Path]
    strays: list[Path]
    _listings: dict[str, dict[str, str]] = field(default_factory=dict)  # what `listing` has read

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def listing(self, hash: str) -> dict[str, str]:
        """The hash of each file in a folder, by its path there; empty if it is no folder, or not in the cache."""
        if hash not in self._listings:
            path = self.objects.get(hash) if hash.endswith(".dir") else None
            try:
                found = [] if path is None else json.loads(path.read_bytes())
                self._listings[hash] = {str(one["relpath"]): str(one["md5"]) for one in found}
            except (ValueError, TypeError, KeyError):
                self._listings[hash] = {}
        return self._listings[hash]

    def all_of(self, hash: str) -> set[str]:
        """A hash, and the hashes of the files in it if it is a folder."""
        return {hash, *self.listing(hash).values()}

    def speakers(self, hash: str) -> dict[str, set[str]]:
        """The ids of each speaker's clips, if it is a folder with a table of clips."""
        table = self.objects.get(self.listing(hash).get(TABLE, ""))
        return speakers_of(table.read_bytes()) if table else {}

    def voices(self, hash: str) -> set[str]:
        """The speakers that a model folder learned from or speaks as; empty if it is another folder."""
        facts = self.objects.get(self.listing(hash).get(families.FACTS, ""))
        return named_in(facts.read_bytes()) if facts and facts.stat().st_size <= LARGEST_FACTS else set()


@dataclass(frozen=True)
class Own:
    """Whose a path is, from the project's folder. files: sound files of the speaker. folders: nobody else is recorded
    there. others: the recordings of others that the sources list."""

    files: frozenset[str]
    folders: tuple[str, ...]
    others: frozenset[str]

    def holds(self, path: str) -> bool:
        """Whether a path is one of the folders, or lies in one."""
        return path in self.folders or path.startswith(tuple(f"{folder}/" for folder in self.folders))


def named_in(facts: bytes) -> set[str]:
    """The speakers that a voicetune.json names; empty if it is damaged."""
    try:
        known = json.loads(facts)
        return {*known.get("references", {}), *(who for one in known.get(CONSENT, []) for who in one["speakers"])}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return set()


def open_cache(folder: Path) -> Cache:
    """List what is in a cache. Caches of DVC 2 have their objects at the top."""
    objects, strays = {}, []
    for top in (folder, folder / "files/md5"):
        for place in sorted(top.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(place.iterdir()) if place.is_dir() else []:
                if _HASH.fullmatch(path.name):
                    objects[place.name + path.name] = path
                else:
                    strays.append(path)
    return Cache(folder, objects, strays)


def speakers_of(table: bytes) -> dict[str, set[str]]:
    """The ids of each speaker's clips in a table of clips."""
    found: dict[str, set[str]] = {}
    for row in csv.DictReader(io.StringIO(table.decode("utf-8", "replace"))):
        found.setdefault(row.get("speaker") or "", set()).add(row.get("id") or "")
    return found


def tainted(speaker: str, history: History, cache: Cache, own: Own) -> set[str]:
    """The hashes of all results that were made of a speaker's recordings, directly or not.

    The results of a stage count if the stage read a source of the speaker or another such result, or if it wrote a
    table with clips of the speaker. A model folder that names the speaker counts too: it may be a kept voice.
    """
    known = {hash for record in history.records for hash in record.outs.values()} | set(cache.objects)
    found = {hash for hash in known if speaker in cache.speakers(hash) or speaker in cache.voices(hash)}
    found |= {hash for one in history.records for path, hash in one.outs.items() if own.holds(path)}
    while True:
        more = {hash for one in history.records if _is_of(one, speaker, found) for hash in one.outs.values()} - found
        if not more:
            return found
        found |= more


def _is_of(record: Record, speaker: str, found: set[str]) -> bool:
    # stage transcribe does nothing for other readers than `long`, so that many runs have the same empty tables
    sources = [one for one in record.sources if TRANSCRIPTS not in record.outs or one.get("reader") == "long"]
    named = any(one.get("speaker") == speaker for one in sources)
    return named or not found.isdisjoint(record.deps) or not found.isdisjoint(record.outs.values())


def objects_of(results: set[str], history: History, cache: Cache, own: Own) -> list[str]:
    """The hashes of the objects to remove: what these results consist of, and the recordings in every version.

    An object that other results have too, such as a vocabulary, stays, unless it is a recording. The order is that of
    removal. The files that say whose the objects are come last, so that a second run can finish a killed one.
    """
    every = set(_files(history.records, cache))
    held = {hash for _, path, hash in every if own.holds(path)}
    kept = {hash for out, path, hash in every if out not in results and not own.holds(path)}
    kept |= {out for out, _, _ in every} - results
    removed = ({one for hash in results for one in cache.all_of(hash)} | held) - kept
    removed |= _sounds(results, every, set(_files(history.pointers, cache)), own)
    tables = {table for hash in results for name in _TELLING if (table := cache.listing(hash).get(name))}
    return sorted(removed, key=lambda one: (one.endswith(".dir"), one in tables, one))


def _files(records: Iterable[Record], cache: Cache) -> Iterator[tuple[str, str, str]]:
    """The hash of each result, with the path and the hash of each file in it."""
    for out, hash in {(out, hash) for record in records for out, hash in record.outs.items()}:
        listing = cache.listing(hash)
        yield from ((hash, f"{out}/{name}", one) for name, one in listing.items())
        if not listing:
            yield hash, out, hash


def _sounds(results: set[str], every: set[tuple[str, str, str]], now: set[tuple[str, str, str]], own: Own) -> set[str]:
    """The hashes of the speaker's recordings: those that the sources list, and those that lie, or lay, in the speaker's
    own folders. A hash stays if a file that is another's has it now.

    Args:
        every: see `_files`; of all versions.
        now: of the .dvc files in this folder.
    """
    listed = {md5(Path(path)) for path in own.files if Path(path).is_file()}
    listed |= {hash for _, path, hash in every if path in own.files}
    placed = {
        hash
        for out, path, hash in every
        if (own.holds(path) or (out in results and path.startswith("data/raw/"))) and is_sound(Path(path))
    }
    of_others = {hash for _, path, hash in now if path in own.others}
    elsewhere = {hash for _, path, hash in now if path not in own.files and not own.holds(path)}
    return (listed - of_others) | (placed - elsewhere)


def runs_of(results: set[str], cache: Cache) -> list[Path]:
    """The entries of the run cache that name one of these results."""
    entries = sorted(cache.runs.glob("*/*/*"))
    return [path for path in entries if any(hash in path.read_text("utf-8", "replace") for hash in results)]


def md5(path: Path) -> str:
    """The hash that DVC gives a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
