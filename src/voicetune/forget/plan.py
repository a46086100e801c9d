"""Lists everything of a speaker in a project's folder, in the order in which it can be removed safely."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from voicetune import families, files, space
from voicetune.data import decisions
from voicetune.data.readers import lists
from voicetune.data.readers.long import LongSource
from voicetune.data.readers.source import Source
from voicetune.errors import UserError, quoted
from voicetune.forget import cache, exports, history, recordings
from voicetune.forget.cache import Cache, Own
from voicetune.forget.history import History
from voicetune.forget.recordings import Found
from voicetune.kept import voices
from voicetune.params.data import AnySource
from voicetune.training import state_folders

LISTED = Path("forgotten")  # lists of what lies elsewhere, one folder a speaker
REMOVED = Path(".dvc/tmp/forgotten")  # folders are moved here, and then removed
_CLIPS = (Path("data/clips/clips.csv"), Path("data/codes/clips.csv"))
_SAID = ("said", "said.wav", "said.flac", "said.mp3", "said.ogg")  # what `say` writes where nothing else is said
_BASE = "models/base"


@dataclass(frozen=True)
class Group:
    """Files, folders and links of one kind. what: in a few words, for people."""

    what: str
    paths: list[Path]


@dataclass(frozen=True)
class Plan:
    """What is removed, and what is not.

    groups: in the order of their removal. The tables that name the speaker of the rest come last, so that a second run
    can finish a killed one. experiments: references of git. objects: the hashes of the objects of DVC to remove, also
    of those that this cache lacks. runs: of the run cache, as paths in the cache. decisions: the ids of rows of
    data/decisions.csv. committed: paths of recordings in git's history. by_hand: a sentence each. unlisted: how many
    folders of results this cache lacks, so that their objects are not among `objects`.
    """

    speaker: str
    groups: list[Group]
    experiments: list[str]
    objects: list[str]
    runs: list[str]
    decisions: list[str]
    committed: list[str]
    sources: list[str]
    by_hand: list[str]
    unlisted: int


def make(root: Path, speaker: str, sources: list[Source]) -> Plan:
    """Look for everything of a speaker. The working directory is `root`.

    Args:
        sources: those of params.yaml.

    Raises:
        UserError: there is no such speaker, git fails, or a training is under way.
    """
    space.check_root(root)
    store = cache.open_cache(space.dvc_cache(root)[0].resolve())
    past = history.read(root, store.runs)
    every = [*sources, *_earlier(past, sources)]
    found = recordings.find(speaker, every)
    ids, others = _ids(speaker, found)
    _check_known(speaker, found, past, store, ids)
    own = _own(found)
    results = cache.tainted(speaker, past, store, own)
    objects, runs = cache.objects_of(results, past, store, own), cache.runs_of(results, store)
    used = bool(ids) or any(not results.isdisjoint(one.outs.values()) for one in past.current)
    long = any(isinstance(one, LongSource) and one.speaker == speaker for one in every)
    exported, told = exports.find(root, speaker)
    kept = _kept(root, speaker, results)
    here = used or bool(kept.paths) or not results.isdisjoint(store.objects)
    made = [*_results(root, speaker, used, here, long, exported), kept]
    groups, by_hand = _inside([*made, *_copies(store, objects, runs, bool(results)), *_recordings(found)], root)
    return Plan(
        speaker, groups, _experiments(root, results), objects, [str(one.relative_to(store.folder)) for one in runs],
        _decided(ids, others, found, every), _committed(root, found, every), _only_of(speaker, found, sources),
        [*found.by_hand, *told, *by_hand, *_unseen(root, store)],
        sum(one.endswith(".dir") and one not in store.objects for one in results),
    )  # fmt: skip


def _results(root: Path, speaker: str, used: bool, here: bool, long: bool, exported: list[Path]) -> list[Group]:
    """What was made of recordings.

    Args:
        used: the results in this folder were made of the speaker's recordings, too.
        here: those, or earlier ones that this folder still has. Sounds and states do not say which they are of.
        long: the speaker has long recordings.
        exported: see `exports.find`.
    """
    return [
        Group("what an interrupted run of this command left", _exists([REMOVED])),
        Group("models, clips, figures and pages (`dvc repro` makes them again)", _made(root, speaker) if used else []),
        Group("pages and sounds outside the pipeline, of any speaker", _pages() if here else []),
        Group(
            "models that were exported or fetched into this folder",
            exported if used else [*exported, *_fetched(root, speaker)],
        ),
        Group("states of unfinished trainings, of any speaker", _states(root) if here else []),
        Group("recognised words of all long recordings", _exists([Path(".cache/transcripts")]) if long else []),
    ]


def _copies(store: Cache, objects: list[str], runs: list[Path], any_result: bool) -> list[Group]:
    """What DVC keeps of recordings and results, and the page that `compare` makes of it."""
    return [
        Group("the page of several revisions", _compared() if any_result else []),
        Group("folders of experiments", _exists([Path(".dvc/tmp/exps")]) if any_result else []),
        Group("objects in DVC's cache", [store.objects[one] for one in objects if one in store.objects]),
        Group("unfinished copies in DVC's cache", store.strays),
        Group("entries of DVC's run cache", runs),
    ]


def _compared() -> list[Path]:
    """The page of `compare`, and what a killed one leaves."""
    left = [*Path().glob(".compared.part*"), *Path().glob(".cache/compare-*")]
    return _exists([Path("compared"), *sorted(left)])


def _recordings(found: Found) -> list[Group]:
    return [
        Group("files of DVC that name the recordings", _exists(Path(f"{one.as_posix()}.dvc") for one in found.folders)),
        Group("recordings", [*_exists(found.files), *found.folders]),
    ]


def _only_of(speaker: str, found: Found, sources: list[Source]) -> list[str]:
    """The names of the sources of params.yaml that have nothing left."""
    whole = [one for one in sources if Path(one.path) in found.folders]
    gone = [one for one in sources if one.speaker == speaker and (not one.of_people or not Path(one.path).exists())]
    return [one.name for one in sources if one in whole or one in gone]


def _earlier(past: History, sources: list[Source]) -> Iterator[Source]:
    """Sources that an earlier params.yaml had, and whose folders params.yaml does not name now."""
    known = {source.path for source in sources}
    for section in [*past.sources, *(one for record in past.records for one in record.sources)]:
        try:
            source: Source = TypeAdapter(AnySource).validate_python(section)
        except ValidationError:
            continue
        if source.path not in known and source.path.startswith("data/raw/") and ".." not in Path(source.path).parts:
            known.add(source.path)
            yield source


def _ids(speaker: str, found: Found) -> tuple[set[str], set[str]]:
    """The ids of the speaker's clips in data/clips and data/codes, and those of everybody else's."""
    tables = [cache.speakers_of(path.read_bytes()) for path in _CLIPS if files.is_file(path)]
    found.speakers.update(name for table in tables for name in table)
    ids = {id for table in tables for id in table.get(speaker, ())}
    return ids, {id for table in tables for whose in table.values() for id in whose} - ids


def _check_known(speaker: str, found: Found, past: History, store: Cache, ids: set[str]) -> None:
    named = {str(source.get("speaker")) for one in past.records for source in one.sources}
    made = {name for hash in store.objects for name in [*store.speakers(hash), *store.voices(hash)]}
    known = found.speakers | named | made
    if speaker not in known and not ids:
        others = ", ".join(sorted(known - {""}))
        there = f"its speakers are {others}" if others else "it has no recordings"
        raise UserError(f"there is no speaker {quoted(speaker)} in this project; {there}.")


def _made(root: Path, speaker: str) -> list[Path]:
    """What the pipeline made of the recordings: all of it, because one model learned from all speakers.

    The base stays, unless it is a voice that learned from the speaker.
    """
    base = root / _BASE
    learned = _names(base / families.FACTS, speaker)
    return [path.relative_to(root) for path in space.made(root) if learned or not path.is_relative_to(base)]


def _fetched(root: Path, speaker: str) -> list[Path]:
    """The model folders below models/ that name the speaker, such as an earlier voice in `models/first`."""
    facts = sorted(root.glob(f"models/*/**/{families.FACTS}"))
    return [one.parent.relative_to(root) for one in facts if _names(one, speaker)]


def _pages() -> list[Path]:
    return _exists([Path("listening"), *map(Path, _SAID)])


def _kept(root: Path, speaker: str, results: set[str]) -> Group:
    """The kept voices of the speaker, also half written ones: folders, and the files of DVC that name them."""
    named = [
        path.parent.relative_to(root)
        for path in sorted((root / voices.FOLDER).glob(f"*/{families.FACTS}"))
        if _names(path, speaker)
    ]
    names = {path.name for path in named} | {name for name in voices.names() if _hashes(root, name) & results}
    folders = {*named, *(voices.FOLDER / name for name in names)}
    return Group("kept voices", _exists([*sorted(folders), *map(voices.pointer, sorted(names))]))


def _names(facts: Path, speaker: str) -> bool:
    """Whether a voicetune.json is there and names the speaker."""
    return files.is_file(facts) and speaker in cache.named_in(facts.read_bytes())


def _hashes(root: Path, name: str) -> set[str]:
    return history.outs_of(root, voices.pointer(name))


def _unseen(root: Path, store: Cache) -> list[str]:
    """A sentence for each kept voice that is neither in its folder nor in the cache."""
    return [
        f"{voices.pointer(name)} names a voice that is not here, so this command does not know whose it is: run `dvc"
        f" pull {voices.pointer(name)}`, and this command again"
        for name in voices.names()
        if not (voices.FOLDER / name).exists() and not _hashes(root, name) <= store.objects.keys()
    ]


def _states(root: Path) -> list[Path]:
    """The states of all trainings.

    Raises:
        UserError: a training uses one.
    """
    states = state_folders.find(state_folders.root(root))
    state_folders.check_unused(states)
    return [one.folder.relative_to(root) for one in states]


def _own(found: Found) -> Own:
    inside = [path for folder in found.folders for path in lists.walk(folder)]
    files = [path for path in [*inside, *found.files] if recordings.is_sound(path)]
    return Own(
        frozenset(path.as_posix() for path in files),
        tuple(folder.as_posix() for folder in found.folders),
        frozenset(path.as_posix() for path in found.others),
    )


def _exists(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_symlink() or path.exists()]


def _experiments(root: Path, results: set[str]) -> list[str]:
    """The references of experiments that have such results."""
    found = history.experiments(root)
    return [name for name, records in found if any(results & set(one.outs.values()) for one in records)]


def _decided(ids: set[str], others: set[str], found: Found, sources: list[Source]) -> list[str]:
    """The ids of decisions about the speaker's clips, and about all clips of sources that only this speaker has.

    A rejected clip is no clip of data/clips, so its source's name tells whose it is. If the names of several sources
    fit, such as `anna` and `anna-old`, it is the longest.

    Args:
        others: the ids of everybody else's clips.
    """
    names = {one.name for one in sources}
    own = {one.name for one in sources if Path(one.path) in found.folders}

    def is_own(id: str) -> bool:
        fitting = [name for name in names if id.startswith(f"{name}-")]
        return id not in others and max(fitting, key=len, default="") in own

    return [id for id in decisions.read_project() if id in ids or is_own(id)]


def _committed(root: Path, found: Found, sources: list[Source]) -> list[str]:
    """The paths of the recordings that any commit of git has."""
    folders, recorded = ([os.fsencode(one.as_posix()) for one in paths] for paths in (found.folders, found.files))
    named, below = {*folders, *recorded}, tuple(folder + b"/" for folder in folders)
    every = history.committed_below(root, sorted({Path(one.path).as_posix() for one in sources})) if named else []
    return [path.decode("utf-8", "replace") for path in every if path in named or path.startswith(below)]


def _inside(groups: list[Group], root: Path) -> tuple[list[Group], list[str]]:
    """Take out what lies outside the project's folder, and say so."""
    kept, by_hand = [], []
    for group in groups:
        paths = [path for path in group.paths if _is_inside(root / path, root)]
        outside = [path for path in group.paths if path not in set(paths)]
        if outside:
            by_hand.append(
                f"{group.what}: {len(outside)} lie outside this folder, such as {outside[0]}, and are not removed;"
                " remove them by hand, if nobody else needs them"
            )
        by_hand += [
            f"{path} is a link to {path.resolve()}: only the link is removed; remove that by hand"
            for path in paths
            if path.is_symlink() and not path.resolve().is_relative_to(root)
        ]
        if paths:
            kept.append(Group(group.what, paths))
    return kept, by_hand


def _is_inside(path: Path, root: Path) -> bool:
    return path.is_relative_to(root) and space.is_inside(path, root)
