"""Read a script with one line of speech a row, and speak it into a folder. A second run speaks only what changed.

The folder's `manifest.json` has a row for each sound file. The row's key is a hash of everything that determines the
sound. A file is kept if a line of the script still has its key, and its bytes still match the manifest.

Before the file of a spoken line gets its name, its row is appended to a journal, `manifest.jsonl`. Without the journal,
10,000 lines would rewrite the whole manifest 10,000 times. If a run is killed, the next run puts the journal's rows
into the manifest and resumes from there. At the end of a run the journal is removed.
"""

import csv
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock, Timeout
from pydantic import Field

from voicetune import families, files, moving, terminal
from voicetune.data import formats
from voicetune.errors import UserError, shown
from voicetune.model import Speaker
from voicetune.params import languages
from voicetune.params.decoding import Decoding
from voicetune.params.speaking import SPEEDS
from voicetune.shapes import Number, Record, parse
from voicetune.speech import watermark
from voicetune.speech.checking import Checks
from voicetune.speech.language_check import check_language
from voicetune.speech.say import parts, say
from voicetune.speech.voice import Line, Voice

MANIFEST = "manifest.json"
JOURNAL = "manifest.jsonl"
LOCK = ".lock"
_LOCK_SECONDS = 1.0  # a run that was just killed may still hold the lock
COLUMNS = ("text", "voice", "language", "speed")
_MADE = re.compile(rf"[^/\\\x00-\x1f]+\.(?:{'|'.join(formats.FORMATS)})")  # the files that a manifest may name


class _Row(Record):
    """The keys of a manifest row that are read back. The row's other keys are for people."""

    file: str
    key: Annotated[str, Field(min_length=1)]
    sha256: str
    seconds: Number


@dataclass(frozen=True)
class ScriptLine:
    """A line and the file that it is spoken into. number: of the line in the script's file. speaker: a name."""

    number: int
    file: str
    line: Line
    speaker: str | None


Todo = tuple[ScriptLine, Speaker, dict[str, Any]]
"""A line to speak, its speaker, and its row of the manifest."""


@dataclass(frozen=True)
class Manner:
    """The settings that all lines are spoken with.

    loudness: LUFS. checks: how each part is checked. code: a hash of the code that speaks, so that changed code speaks
    every line again; empty where no file of an earlier run is kept. watermark: whether each line gets one.
    """

    decoding: Decoding
    seed: int
    loudness: float
    checks: Checks
    code: str
    watermark: bool = False


@dataclass
class Made:
    """The result of a script.

    rows: of the manifest. faults: number and reason of each line that has no file. anew: how many lines were spoken.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[int, str] = field(default_factory=dict)
    anew: int = 0

    def checked(self) -> str:
        """What the checks found, in a few words."""
        found = sum(bool(row["found"]) for row in self.rows)
        left = sum(bool(row["left"]) for row in self.rows)
        return (
            f"{found} had faults at first, {left} have some left ({MANIFEST})" if found else "the checks found no fault"
        )


def read(path: Path, usual: Line, speaker: str | None, format: str) -> tuple[list[ScriptLine], dict[int, str]]:
    """Read the lines of a script: a .txt with a line each, or a .csv or .tsv with a header, see COLUMNS.

    The sound files are numbered from 1, without the header and empty lines. Faults have the number that the line has in
    the file, as an editor shows it; a row whose cells have line ends has the number of its first line.

    Args:
        usual: its language and speed are the defaults of the script's lines.
        speaker: the default speaker.
        format: the format of the sound files, which is their ending.

    Returns:
        the takes to make; and the number and reason of each line that cannot be spoken.

    Raises:
        UserError: the file is missing, empty or not UTF-8, or its header is wrong.
    """
    text = files.read_text(path, "give a script that exists")
    rows = _rows(path, text)
    takes, faults = [], {}
    for place, (number, row) in enumerate(rows, start=1):
        try:
            line = _line(row, usual)
            takes.append(ScriptLine(number, f"{place:04d}.{format}", line, (row.get("voice") or "").strip() or speaker))
        except UserError as error:
            faults[number] = str(error)
    if not rows:
        raise UserError(f"{path} has no lines; write one text on each line.")
    return takes, faults


def _rows(path: Path, text: str) -> list[tuple[int, dict[str | None, Any]]]:
    """The rows that are not empty, each with the number of its first line in the file."""
    if path.suffix.lower() == ".txt":
        lines = enumerate(text.splitlines(), start=1)
        return [(number, {"text": line.strip()}) for number, line in lines if line.strip()]
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise UserError(f"{path} should end in .txt, .csv or .tsv.")
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    # not splitlines(), which also splits at characters that a text may contain, such as U+2028
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found, begins = [], 1
    try:
        for row in reader:
            if row:
                found.append((begins, row))
            begins = reader.line_num + 1
    except csv.Error as error:
        kind = path.suffix[1:].upper()
        raise UserError(f"{path}, line {begins} is not {kind} ({error}); correct its quotes.") from None
    if not found:
        return []
    (_, header), *rows = found
    names = [name.strip().lower() for name in header]
    if "text" not in names or not set(names) <= set(COLUMNS) or len(set(names)) < len(names):
        raise UserError(f"{path} begins with '{delimiter.join(header)}'; its columns are text and, if wanted, "
                        f"{', '.join(COLUMNS[1:])}.")  # fmt: skip
    return [
        (number, dict(zip(names, row, strict=False)) | ({None: row} if len(row) > len(names) else {}))
        for number, row in rows
    ]


def _line(row: dict[str | None, Any], usual: Line) -> Line:
    if None in row:
        raise UserError("it has more cells than the header; put a text with the delimiter in it between quotes.")
    cells = {name: cell.strip() for name, cell in row.items()}
    if not cells.get("text"):
        raise UserError("it has no text; write one, or remove the line.")
    language = cells.get("language") or usual.language
    if not languages.is_code(language):
        raise UserError(f"'{language}' is no language; write {languages.RULE}.")
    return Line(cells["text"], language, _speed(cells.get("speed") or str(usual.speed)))


def _speed(written: str) -> float:
    low, high = SPEEDS
    try:
        speed = float(written)
    except ValueError:
        speed = 0.0
    if not low <= speed <= high:
        raise UserError(f"the speed is '{written}', but should be a number from {low} to {high}.")
    return speed


def make(
    voice: Voice, takes: list[ScriptLine], speaker: Callable[[str | None], Speaker], out: Path, manner: Manner
) -> Made:
    """Bring a folder up to date with a script.

    A line that cannot be spoken is recorded as a fault and raises nothing, and the other lines are spoken. Files that
    the manifest names and that the script no longer needs are removed. Other files are left alone.

    Args:
        speaker: returns a speaker by name.

    Raises:
        UserError: a file that the manifest does not name is in the way of a take, or the manifest or the journal cannot
            be read.
    """
    with files.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    formats.check_place(out / MANIFEST)
    with _alone(out):
        return _make(voice, takes, speaker, out, manner)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Lock the folder, because two runs would mix their files.

    Raises:
        UserError: another run makes a script there.
    """
    lock = FileLock(out / LOCK, timeout=_LOCK_SECONDS)
    try:
        files.check_no_folder(out / LOCK)
        lock.acquire()
    except Timeout:
        raise UserError(f"another `say --script` writes into {out}; wait for it, or give another --out.") from None
    except OSError as error:
        raise UserError(files.refused(out / LOCK, error, "written")) from None
    try:
        yield
    finally:
        with suppress(OSError):  # on Windows, filelock itself removes it
            (out / LOCK).unlink()  # while it is held, or it could be another run's
        lock.release()


def _make(
    voice: Voice, takes: list[ScriptLine], speaker: Callable[[str | None], Speaker], out: Path, manner: Manner
) -> Made:
    before = _manifest(out)
    for take in takes:
        if take.file not in before and (out / take.file).exists():
            raise UserError(f"{out / take.file} was not made by a script; choose another folder, or remove it.")
    _go_on(out, before)
    made = Made()
    kept = {row["key"]: row for row in before.values() if _is_that(out / row["file"], row)}
    todo, moved = _plan(voice, takes, speaker, manner, kept, made)
    _move([(out / old, out / new) for old, new in moved], lambda: _record(out, before, made))
    _speak(voice, todo, manner, out, made)
    for name in before.keys() - {row["file"] for row in made.rows}:
        (out / name).unlink(missing_ok=True)
    _record(out, {}, made)
    return made


def _plan(voice: Voice, takes: list[ScriptLine], speaker: Callable[[str | None], Speaker], manner: Manner,
          kept: dict[str, dict[str, Any]], made: Made) -> tuple[list[Todo], list[tuple[str, str]]]:  # fmt: skip
    """List the lines to speak, and the old and new names of kept files that get another name.

    Adds the rows of the kept files and the faults to `made`.

    Args:
        kept: by key, the rows of the files whose bytes still match the manifest.
    """
    wanted = _Wanted(voice, manner)
    todo: list[Todo] = []
    moved: list[tuple[str, str]] = []
    for take in takes:
        try:
            who = speaker(take.speaker)
            row = wanted.row(take, who)
            if row["key"] not in kept:
                check_language(voice, take.line.language)
                parts(voice, take.line)
                todo.append((take, who, row))
                continue
        except UserError as error:
            made.faults[take.number] = str(error)
            continue
        old = kept[row["key"]]
        made.rows.append({**old, **row, "seconds": old["seconds"], "sha256": old["sha256"]})
        if old["file"] != take.file:
            moved.append((old["file"], take.file))
    return todo, moved


def _go_on(out: Path, before: dict[str, dict[str, Any]]) -> None:
    """Finish what an interrupted run left unfinished.

    Rename its complete files, remove its incomplete ones, and put the journal's rows into the manifest.
    """
    for name, row in before.items():
        part = files.beside(out / name)
        with files.writing(part):
            if _is_that(part, row):
                moving.rename(part, out / name)
            part.unlink(missing_ok=True)
    if (out / JOURNAL).exists():
        _record(out, before, Made())


def _speak(voice: Voice, todo: list[Todo], manner: Manner, out: Path, made: Made) -> None:
    lines, speakers = [take.line for take, _, _ in todo], [who for _, who, _ in todo]
    every = say(voice, lines, speakers, manner.decoding, manner.seed, manner.loudness, manner.checks, manner.watermark)
    for (take, _, row), said in terminal.track(zip(todo, every, strict=True), "speaking", len(todo)):
        if not said.sound.size:
            made.faults[take.number] = "the model said nothing for this line; try another seed or temperature."
            continue
        data = formats.encode(said.sound, voice.rate, formats.format_of(Path(take.file)), formats.SYNTHETIC)
        digest, seconds = hashlib.sha256(data).hexdigest(), round(len(said.sound) / voice.rate, 3)
        checked = {"found": said.found, "draws": said.draws, "cut": said.cut, "left": said.left}
        made.rows.append({**row, **checked, "seconds": seconds, "sha256": digest})
        made.anew += 1
        _note(out, made.rows[-1])
        files.put(out / take.file, data)


def _move(moved: list[tuple[Path, Path]], record: Callable[[], None]) -> None:
    """Rename kept files. Each is first copied beside its new name, because another file may still have that name."""
    beside = [(files.beside(new), new) for _, new in moved]
    for (old, _), (part, _) in zip(moved, beside, strict=True):
        with files.writing(part):
            part.unlink(missing_ok=True)  # were it a link, writing would follow it
            shutil.copyfile(old, part)
    if moved:
        record()
    for part, new in beside:
        moving.rename(part, new)


class _Wanted:
    """Builds the manifest row of a take with its key. The file's seconds and hash are still None."""

    def __init__(self, voice: Voice, manner: Manner):
        self.voice = voice
        self.model, self.manner = shown(voice.path.name), manner  # shown(): a folder's name need not be UTF-8
        hashes = [files.sha256(path) for path in families.layout(voice.path).files(voice.path)]
        self.weights = hashes[0]
        self.ground = [manner.code, voice.device.type, voice.model.vocoder, *hashes]

    def row(self, take: ScriptLine, speaker: Speaker) -> dict[str, Any]:
        line, manner = take.line, self.manner
        latents = [hashlib.sha256(speaker[name].numpy().tobytes()).hexdigest() for name in sorted(speaker)]
        pace = self.voice.pace(line.language).model_dump()  # it decides which draw is taken
        decoding, checks = manner.decoding.model_dump(), [manner.checks.tries, manner.checks.asr, pace]
        marked = {"watermark": watermark.NAME} if manner.watermark else {}
        says = [line.text, line.language, line.speed, decoding, manner.seed, manner.loudness, checks, *marked.values()]
        key = json.dumps([self.ground, latents, says, formats.format_of(Path(take.file))], sort_keys=True)
        return {
            "file": take.file, "text": line.text, "language": line.language, "speaker": take.speaker,
            "speed": line.speed, "seconds": None, "seed": manner.seed, "model": self.model,
            "model_sha256": self.weights, "sha256": None, **marked,
            "key": hashlib.sha256(key.encode()).hexdigest(),
        }  # fmt: skip


def _manifest(out: Path) -> dict[str, dict[str, Any]]:
    """Read the rows of the folder's manifest, by file. A row of the journal replaces the manifest's row of that file.

    Raises:
        UserError: see `_rows_of`.
    """
    return _rows_of(out / MANIFEST) | _rows_of(out / JOURNAL)


def _rows_of(path: Path) -> dict[str, dict[str, Any]]:
    """Read the rows of a manifest or a journal, by file; empty if there is none.

    A journal's last line is skipped if it is cut off. The files that the rows name may be removed later, so only sounds
    in the same folder are accepted.

    Raises:
        UserError: the file is a link, is damaged, or names other files.
    """
    if not path.is_symlink() and not path.exists():
        return {}
    again = "remove it, or choose another folder"
    if path.is_symlink():
        raise UserError(f"{path} is a link; {again}.")
    text = files.read_text(path, again)
    if path.name == JOURNAL:
        text = "[" + ",".join(text.split("\n")[:-1]) + "]"  # a row that a kill cut short has no line end
    try:
        rows = parse(text, list[_Row])
        found = {row["file"]: row for row in rows}
    except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
        rows, found = [None], {}
    if len(found) < len(rows):
        raise UserError(f"{path} is damaged, or `say --script` did not write it; {again}.")
    if strange := [name for name in found if not _MADE.fullmatch(name)]:
        raise UserError(
            f"{path} names the file '{strange[0][:60]}', but may name only sound files in its own folder; {again}."
        )
    return found


def _record(out: Path, before: dict[str, dict[str, Any]], made: Made) -> None:
    """Write the manifest: the rows of `made`, and the rows of `before` whose files are not among them.

    Then remove the journal, because the manifest now has its rows.
    """
    done = {row["file"] for row in made.rows}
    rows = [*made.rows, *(row for name, row in before.items() if name not in done)]
    text = json.dumps(sorted(rows, key=lambda row: row["file"]), indent=2, ensure_ascii=False) + "\n"
    files.put(out / MANIFEST, text.encode())
    with files.writing(out / JOURNAL):
        (out / JOURNAL).unlink(missing_ok=True)


def _note(out: Path, row: dict[str, Any]) -> None:
    """Append a row to the journal. It is ASCII, because half of a multi-byte character could not be decoded."""
    with files.writing(out / JOURNAL), (out / JOURNAL).open("a", encoding="ascii", newline="\n") as journal:
        journal.write(json.dumps(row) + "\n")


def _is_that(path: Path, row: dict[str, Any]) -> bool:
    return path.is_file() and not path.is_symlink() and files.sha256(path) == row["sha256"]
