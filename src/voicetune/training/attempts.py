"""Record in the state folder how earlier processes of a training failed, because a killed process cannot report it.

The file `at` names the current attempt (one process, or one per rank) and its step. It is written at every step and
removed when the process ends in an orderly way. failures.jsonl has a line for each process that failed.
"""

import json
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from voicetune import files
from voicetune.errors import UserError

OUT_OF_MEMORY = "out of memory"
KILLED = "the process was killed"
# What `Attempts.at` writes. If the process was killed during the write, old text may follow.
_AT = re.compile(rb"([!-~]+) (\d{1,12})\n")
_FILES = ("at", "failures.jsonl", "crash.log")


@dataclass(frozen=True)
class Failure:
    """A process that failed or was killed. step: the optimizer step that it was at, from 0."""

    attempt: str
    step: int
    why: str


_FAILURE = TypeAdapter(Failure)


class Attempts:
    """The failures of one training so far, and the current attempt.

    Args:
        attempt: see `agent.attempt`; the part before the first dot is the same for all attempts of one launch.
        first: whether this process is the one rank that writes `at`.
    """

    def __init__(self, folder: Path, attempt: str, first: bool):
        self.folder, self.attempt, self.first, self.step = folder, attempt, first, 0
        self._at: FileIO | None = None

    def begin(self) -> None:
        """Record the last process as killed if it left `at` but no failure. Only for the first rank, under the lock."""
        for path in (self.folder / name for name in _FILES):
            if path.is_symlink() or not files.is_file(path):  # writing would follow a link, and hang on a pipe
                with files.writing(path):
                    path.unlink(missing_ok=True)
        place = self.folder / "at"
        written = _AT.match(place.read_bytes()) if files.is_file(place) else None
        if written:  # no match: the process was killed, or the disk was full, before it wrote its first step
            attempt, step = written[1].decode("ascii"), written[2]
            if attempt not in {failure.attempt for failure in self.failures()}:
                self._append(Failure(attempt, int(step), KILLED))
        self.at(0)

    def check(self) -> None:
        """Raises UserError: the last two failures of this launch, not counting out of memory, were at the same step."""
        mine = [failure for failure in self.failures() if failure.attempt.split(".")[0] == self.attempt.split(".")[0]]
        others = [failure for failure in mine if failure.why != OUT_OF_MEMORY]
        if len(others) > 1 and others[-1].step == others[-2].step:
            raise UserError(
                f"step {others[-1].step + 1} failed twice ({others[-2].why}; then, in a fresh process from the last"
                f" state: {others[-1].why}); see {self.folder / 'crash.log'}, and run the same command to try again."
            )

    def at(self, step: int) -> None:
        """Record that this step has begun."""
        self.step = step
        if self.first:
            if self._at is None:
                self._at = (self.folder / "at").open("wb", buffering=0)  # no buffer, so that a kill loses nothing
            text = f"{self.attempt} {step}\n".encode("ascii")
            self._at.seek(0)
            self._at.write(text)
            self._at.truncate(len(text))

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record an exception of the block as a failure and raise it again. Any other end only removes `at`.

        A UserError and a KeyboardInterrupt do not count as failures.
        """
        try:
            yield
        except (UserError, KeyboardInterrupt):
            self._end()
            raise
        except Exception as error:
            with (self.folder / "crash.log").open("a", encoding="utf-8", newline="\n") as file:
                file.write(f"step {self.step + 1}\n{traceback.format_exc()}\n")
            self._append(Failure(self.attempt, self.step, _why(error)))
            raise
        self._end()

    def failures(self) -> list[Failure]:
        """List the failures in order, one per attempt: that of the rank that failed first.

        The other ranks of an attempt fail because of the first. Damaged lines are skipped.
        """
        path = self.folder / "failures.jsonl"
        lines = path.read_bytes().splitlines() if files.is_file(path) else []
        found = [failure for line in lines if (failure := _failure(line))]
        return list({failure.attempt: failure for failure in reversed(found)}.values())[::-1]

    def list_restarts(self) -> list[dict[str, object]]:
        """List the failures in the form that a phase's facts use: step (from 1) and why."""
        return [{"step": failure.step + 1, "why": failure.why} for failure in self.failures()]

    def _append(self, failure: Failure) -> None:
        with (self.folder / "failures.jsonl").open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"\n{json.dumps(asdict(failure))}\n")  # starts on a new line, even if the last write was cut off

    def _end(self) -> None:
        if self._at is not None:
            self._at.close()
            self._at = None
            (self.folder / "at").unlink(missing_ok=True)


def _failure(line: bytes) -> Failure | None:
    try:
        return _FAILURE.validate_json(line, strict=True)
    except ValidationError:
        return None


# What torch says on Linux, on Windows, and of a GPU of Apple, where it raises no error of its own.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def _why(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, torch.OutOfMemoryError) or any(one in text for one in _NO_MEMORY):
        return OUT_OF_MEMORY
    return f"{type(error).__name__}: {text[:160]}"
