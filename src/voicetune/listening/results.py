"""Checks the listeners' files, joins them with the page's key, keeps them, and writes metrics/listening.json."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rich import box
from rich.table import Table

from voicetune import files, outputs
from voicetune.errors import UserError
from voicetune.listening import figures
from voicetune.listening.page import KEY
from voicetune.measures import takes
from voicetune.measures.compared import LABELS, RATED
from voicetune.shapes import Plain

METRICS = Path("metrics/listening.json")
_LARGEST = 10_000_000  # bytes; a listener's file has a few thousand

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
Seconds = Annotated[float, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Comparison(_Record):
    """One vote on a pair. a, b: the sounds on the two sides. seconds: from the pair's appearance to the next trial."""

    trial: Id
    a: Id
    b: Id
    choice: Literal["a", "b", "tie"]
    seconds: Seconds


class Rating(_Record):
    """One rating of a sound."""

    trial: Id
    score: Annotated[int, Field(ge=1, le=5)]
    seconds: Seconds


class Answers(_Record):
    """One listener's file."""

    page: Id
    listener: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    comparisons: list[Comparison]
    ratings: list[Rating]


class Sound(_Record):
    """Which row spoke which sentence. sha256: of the sound's file in data/spoken."""

    row: Literal[RATED]  # type: ignore[valid-type]
    sentence: Plain
    sha256: str


class Key(_Record):
    """key.json: what the page's ids mean.

    trials: one sound for a rating, or two sounds for a comparison, in the order of the pair's name (`base_phase2`).
    """

    page: Id
    sounds: dict[Id, Sound]
    trials: dict[Id, Annotated[list[Id], Field(min_length=1, max_length=2)]]

    @model_validator(mode="after")
    def _knows_its_sounds(self):
        if unknown := {id for trial in self.trials.values() for id in trial} - set(self.sounds):
            raise ValueError(f"a trial has the sound {min(unknown)}, which 'sounds' lacks")
        return self


def run(paths: Sequence[Path], built: Path, kept: Path, resamples: int, seed: int) -> tuple[dict[str, Any], Key]:
    """Read listeners' files, write metrics/listening.json, and keep the files and the key in the repository.

    Args:
        built: the folder of the page, with its key.
        kept: the folder whose key and listener-*.json are replaced by the new ones. Its key is used if `built` does not
            hold the key of this page.
        resamples: bootstrap draws for the intervals of the mean opinion scores.

    Returns:
        the figures, and the key.

    Raises:
        UserError: see `read`; or the files do not match each other or the key, or the results cannot be written. The
            earlier files then stay unchanged.
    """
    for place in (METRICS, kept):
        files.check_own(place)
    answers = [read(path) for path in paths]
    key = _key([built / KEY, kept / KEY], paths[0], answers[0].page)
    for path, one in zip(paths, answers, strict=True):
        _check(path, one, key)
    _check_listeners(paths, answers)
    found = compute(answers, key, resamples, seed)
    _keep(
        kept,
        {METRICS: found, kept / KEY: key.model_dump()}
        | {kept / f"listener-{one.listener}.json": one.model_dump() for one in answers},
    )
    return found, key


def _keep(kept: Path, contents: Mapping[Path, dict[str, Any]]) -> None:
    """Write all files, and then remove earlier answers that are not among them."""
    for path in contents:
        with files.writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
    files.put_all({path: outputs.encode_json(values) for path, values in contents.items()})
    for old in set(kept.glob("listener-*.json")) - set(contents):
        old.unlink()


def read(path: Path) -> Answers:
    """Read one listener's file.

    Raises:
        UserError: it is missing, or is not a file that the page saved.
    """
    return _parse(path, Answers, "give the file that the listening page saved, unchanged")


def sounds_unchanged(key: Key, spoken: Path) -> bool:
    """Whether the listeners' sounds are still those in `spoken`; a later training changes them."""
    sounds = {spoken / one.row / takes.file_of(one.sentence, 0): one.sha256 for one in key.sounds.values()}
    return all(
        files.is_file(path) and hashlib.sha256(path.read_bytes()).hexdigest() == sha for path, sha in sounds.items()
    )


def compute(answers: Sequence[Answers], key: Key, resamples: int, seed: int) -> dict[str, Any]:
    """Compute the figures of metrics/listening.json. Pairs and rows without answers are left out."""
    votes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    rated: defaultdict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for one in answers:
        for vote in one.comparisons:
            first, second = key.trials[vote.trial]
            chosen = {"a": vote.a, "b": vote.b, "tie": "tie"}[vote.choice]
            pair = f"{key.sounds[first].row}_{key.sounds[second].row}"
            votes[pair]["tie" if chosen == "tie" else "second" if chosen == second else "first"] += 1
        for rating in one.ratings:
            (sound,) = key.trials[rating.trial]
            rated[key.sounds[sound].row].append((one.listener, sound, rating.score))
    return {
        "raters": len(answers),
        "pairs": {pair: _pair(votes[pair]) for pair in sorted(votes)},
        "mos": {row: _mos(rated[row], resamples, seed) for row in RATED if row in rated},
        "agreement": figures.agreement([rating for row in rated.values() for rating in row]),
    }


def _pair(votes: Counter[str]) -> dict[str, Any]:
    interval = figures.preference(votes["second"], votes["tie"], votes.total())
    counts = {"votes": votes.total(), "ties": votes["tie"]}
    return {"preferred": interval.mean, "low": interval.low, "high": interval.high, **counts}


def _mos(ratings: list[tuple[str, str, int]], resamples: int, seed: int) -> dict[str, Any]:
    listeners, clips, scores = zip(*ratings, strict=True)
    return {**figures.mean_score(scores, listeners, clips, resamples, seed).as_dict(), "ratings": len(ratings)}


def overview(found: Mapping[str, Any]) -> Table:
    """The figures as a table for the terminal."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("", "figure", "95 %", "answers"):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    for name, pair in found["pairs"].items():
        first, second = (LABELS[row] for row in name.split("_"))
        share = f"{100 * pair['preferred']:.0f} %"
        interval = f"{100 * pair['low']:.0f} to {100 * pair['high']:.0f} %"
        table.add_row(f"{second} preferred to {first}", share, interval, f"{pair['votes']}, {pair['ties']} ties")
    for row, mos in found["mos"].items():
        interval = f"{mos['low']:.2f} to {mos['high']:.2f}"
        table.add_row(f"MOS of {LABELS[row]}", f"{mos['mean']:.2f}", interval, str(mos["ratings"]))
    if found["agreement"] is not None:
        table.add_row(
            "agreement (Krippendorff's alpha)", f"{found['agreement']:.2f}", "", f"{found['raters']} listeners"
        )
    return table


def _parse(path: Path, record: type[Any], remedy: str) -> Any:
    files.need(path, remedy)
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path} is far too large for a listener's answers; {remedy}.")
        return record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {remedy}.") from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        what = f"'{where}': {fault['msg']}" if where else fault["msg"]
        raise UserError(f"{path} is not what the listening page saves ({what}); {remedy}.") from None


def _key(places: Sequence[Path], path: Path, page: str) -> Key:
    known: list[Key] = [
        _parse(place, Key, "build the page again with `make listen`") for place in places if place.is_file()
    ]
    for key in known:
        if key.page == page:
            return key
    where = places[0].parent
    raise UserError(
        f"{path} answers the page {page}, but {where} has "
        + (f"the key of the page {known[0].page}" if known else "no key")
        + "; check out the commit that this page was built from and run `make listen`."
    )


def _check(path: Path, one: Answers, key: Key) -> None:
    """Check that a file has answers, that they belong to this page, and that no trial is answered twice."""
    if one.page != key.page:
        raise UserError(
            f"{path} answers the page {one.page}, but the first file answers {key.page}; read them separately."
        )
    trials: list[tuple[str, list[str] | None]] = [(vote.trial, sorted((vote.a, vote.b))) for vote in one.comparisons]
    trials += [(rating.trial, None) for rating in one.ratings]
    for trial, sounds in trials:
        known = key.trials.get(trial, [])
        if len(known) != (2 if sounds else 1) or (sounds and sorted(known) != sounds):
            raise UserError(
                f"{path} answers the trial {trial}, which the page does not have; save it again from the page."
            )
    if len({trial for trial, _ in trials}) < len(trials):
        raise UserError(f"{path} answers a trial twice; save it again from the page.")
    if not trials:
        raise UserError(f"{path} holds no answer; leave it out.")


def _check_listeners(paths: Sequence[Path], answers: Sequence[Answers]) -> None:
    first: dict[str, Path] = {}
    for path, one in zip(paths, answers, strict=True):
        if one.listener in first:
            raise UserError(f"{path} and {first[one.listener]} are from the same listener; give only the later file.")
        first[one.listener] = path
