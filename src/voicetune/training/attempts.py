"""What ended earlier processes of a training, kept in its state folder: a process that dies cannot tell.

`at` names the attempt (one process, or one of each rank) and the step that it is at; it is written at
every step and goes with a process that ends in order. failures.jsonl has one line for each that did not.
"""

import json
import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from voicetune import files
from voicetune.errors import UserError

OUT_OF_MEMORY = "out of memory"
KILLED = "the process was killed"
_AT = re.compile(rb"([!-~]+) (\d{1,12})\n")  # what `at` writes; more may follow, if the process was killed in it
_FILES = ("at", "failures.jsonl", "crash.log")


@dataclass(frozen=True)
class Failure:
    """One end of a process that was not in order. step: the optimizer step that it was at, from 0."""

    attempt: str
    step: int
    why: str


_FAILURE = TypeAdapter(Failure)


class Attempts:
    """The failures of one training so far, and the attempt that is going on.

    Args:
        attempt: see `agent.attempt`; what is before the last dot is the same for all of one launch.
        first: whether this process writes for all of its ranks.
    """

    def __init__(self, folder: Path, attempt: str, first: bool):
        self.folder, self.attempt, self.first, self.step = folder, attempt, first, 0
        self._at = -1

    def begin(self) -> None:
        """Write down how the last process ended if it could not do so itself. For the first rank, under the lock."""
        for path in (self.folder / name for name in _FILES):
            if path.is_symlink() or not files.is_file(path):  # writing would follow a link, and wait at a pipe
                with files.writing(path):
                    path.unlink(missing_ok=True)
        place = self.folder / "at"
        written = _AT.match(place.read_bytes()) if files.is_file(place) else None
        if written:  # else the process was killed, or the disk full, before its first step was written
            attempt, step = written[1].decode("ascii"), written[2]
            if attempt not in {failure.attempt for failure in self.failures()}:
                self._append(Failure(attempt, int(step), KILLED))
        self.at(0)

    def check(self) -> None:
        """Raises UserError: the same step failed twice in this launch, or one clip alone does not fit into memory."""
        mine = [failure for failure in self.failures() if failure.attempt.split(".")[0] == self.attempt.split(".")[0]]
        others = [failure for failure in mine if failure.why != OUT_OF_MEMORY]
        if len(others) > 1 and others[-1].step == others[-2].step:
            raise UserError(
                f"step {others[-1].step + 1} failed twice ({others[-2].why}; then, in a fresh process from the last"
                f" state: {others[-1].why}); see {self.folder / 'crash.log'}, and run the same command to try again."
            )

    def at(self, step: int) -> None:
        """This step is begun."""
        self.step = step
        if self.first:
            if self._at < 0:
                self._at = os.open(self.folder / "at", os.O_WRONLY | os.O_CREAT, 0o644)
            text = f"{self.attempt} {step}\n".encode("ascii")
            os.pwrite(self._at, text, 0)
            os.ftruncate(self._at, len(text))

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """A fault in the block is written down before it goes on; an end in order leaves no trace."""
        try:
            yield
        except (UserError, KeyboardInterrupt):
            self._end()
            raise
        except Exception as error:
            with (self.folder / "crash.log").open("a", encoding="utf-8") as file:
                file.write(f"step {self.step + 1}\n{traceback.format_exc()}\n")
            self._append(Failure(self.attempt, self.step, _why(error)))
            raise
        self._end()

    def failures(self) -> list[Failure]:
        """In their order; of one attempt the first rank to fail, for the others fail from it.

        Lines that are damaged do not count.
        """
        path = self.folder / "failures.jsonl"
        lines = path.read_bytes().splitlines() if files.is_file(path) else []
        found = [failure for line in lines if (failure := _failure(line))]
        return list({failure.attempt: failure for failure in reversed(found)}.values())[::-1]

    def told(self) -> list[dict[str, object]]:
        """The failures as a phase's facts name them: step (from 1) and why."""
        return [{"step": failure.step + 1, "why": failure.why} for failure in self.failures()]

    def _append(self, failure: Failure) -> None:
        with (self.folder / "failures.jsonl").open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(asdict(failure))}\n")  # on a line of its own, even if the last one was cut off

    def _end(self) -> None:
        if self._at >= 0:
            os.close(self._at)
            self._at = -1
            (self.folder / "at").unlink(missing_ok=True)


def _failure(line: bytes) -> Failure | None:
    try:
        return _FAILURE.validate_json(line, strict=True)
    except ValidationError:
        return None


def _why(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text:
        return OUT_OF_MEMORY
    return f"{type(error).__name__}: {text[:160]}"
