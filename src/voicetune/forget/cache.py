"""Finds the objects in DVC's cache that have a speaker's recordings, or anything that was made of them."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from voicetune import families
from voicetune.data.consent import KEY as CONSENT
from voicetune.data.readers import lists
from voicetune.forget.history import History, Record

_LARGEST_FACTS = 2**22  # bytes of a voicetune.json
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
        return named_in(facts.read_bytes()) if facts and facts.stat().st_size <= _LARGEST_FACTS else set()


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


def tainted(speaker: str, history: History, cache: Cache, folders: Iterable[str]) -> set[str]:
    """The hashes of all results that were made of a speaker's recordings, directly or not.

    The results of a stage count if the stage read a source of the speaker or another such result, or if it wrote a
    table with clips of the speaker. A model folder that names the speaker counts too: it may be a kept voice.

    Args:
        folders: of data/raw, in which nobody else is recorded.
    """
    known = {hash for record in history.records for hash in record.outs.values()} | set(cache.objects)
    found = {hash for hash in known if speaker in cache.speakers(hash) or speaker in cache.voices(hash)}
    found |= {hash for one in history.records for path, hash in one.outs.items() if path in set(folders)}
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


def objects_of(results: set[str], history: History, cache: Cache, recordings: Iterable[Path]) -> list[str]:
    """The hashes of the objects to remove: what these results consist of, and the recordings in every version.

    An object that other results have too, such as a vocabulary, stays, unless it is a recording. The order is that of
    removal. The files that say whose the objects are come last, so that a second run can finish a killed one.

    Args:
        recordings: the sound files of the speaker, as paths from the project's folder.
    """
    paths = {path.as_posix() for path in recordings}
    sounds = {md5(Path(path)) for path in paths if Path(path).is_file()}
    for record in history.records:
        for folder, hash in record.outs.items():
            if not folder.startswith("data/raw"):
                continue
            for name, one in (cache.listing(hash) or {"": hash}).items():
                whole = hash in results and lists.is_sound(Path(name))
                if whole or f"{folder}/{name}" in paths or folder in paths:
                    sounds.add(one)
    others = {hash for record in history.records for hash in record.outs.values()} - results
    kept = {one for hash in others for one in cache.all_of(hash)}
    removed = ({one for hash in results for one in cache.all_of(hash)} - kept) | sounds
    tables = {table for hash in results for name in _TELLING if (table := cache.listing(hash).get(name))}
    return sorted(removed, key=lambda one: (one.endswith(".dir"), one in tables, one))


def runs_of(results: set[str], cache: Cache) -> list[Path]:
    """The entries of the run cache that name one of these results."""
    entries = sorted(cache.runs.glob("*/*/*"))
    return [path for path in entries if any(hash in path.read_text("utf-8", "replace") for hash in results)]


def md5(path: Path) -> str:
    """The hash that DVC gives a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
