"""Run a training in a new process, and start another one when it dies, on systems that cannot fork (Windows, macOS).

It does for one device what `forked` does with torchrun's agent. That agent needs a network store (libuv) that torch for
Windows lacks.
"""

import multiprocessing
import os
import sys
import traceback
import uuid
from typing import Any

from voicetune.errors import Stopped, UserError
from voicetune.parent import end_with_parent
from voicetune.training import signals
from voicetune.training.agent import Work

_LOOK_SECONDS = 0.2


def run(work: Work, restarts: int) -> str | None:
    """Run `work` in a new process; when that dies, start it again, `restarts` times at most.

    Args:
        work: a function of a module, or a partial of one, so that the new process can import it.

    Returns:
        the sentence of the work's UserError, or None.

    Raises:
        UserError: the restarts are used up, or a signal came.
    """
    launch, why = uuid.uuid4().hex, ""
    for count in range(restarts + 1):
        sentence, why = _run_once(work, launch, count)
        if not why:
            return sentence
    raise signals.given_up(why)


def _run_once(work: Work, launch: str, count: int) -> tuple[str | None, str]:
    """Run the work in one process; returns the sentence of its UserError, and how the process failed ("" if not)."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_process, args=(work, there, launch, count))
    process.start()
    there.close()
    told = sys.platform == "win32"  # a console sends Ctrl-C to both processes; nothing else can be sent there
    try:
        with signals.caught() as names:
            while process.is_alive():
                process.join(_LOOK_SECONDS)
                if names and not told:
                    process.terminate()  # once: after the last step, a second one would kill it
                    told = True
    finally:
        process.kill()
        process.join()
    kind, text = _receive(here)
    if process.exitcode == 0 and kind != "failed":  # also if a signal came too late to stop it
        return text, ""
    if names:
        raise signals.stopped(names[0])
    return None, f"the training failed: {text}" if text else f"exit status {process.exitcode} ended the training"


def _receive(pipe: Any) -> tuple[str, str | None]:
    try:
        return pipe.recv() if pipe.poll() else ("", None)
    except (EOFError, OSError):  # the process has ended and sent nothing; Windows raises BrokenPipeError then
        return "", None


def _process(work: Work, pipe: Any, launch: str, count: int) -> None:
    """Run the work in this new process, as the only rank. Its UserError or its failure goes into the pipe."""
    os.environ.update(
        TORCHELASTIC_RUN_ID=launch, TORCHELASTIC_RESTART_COUNT=str(count), RANK="0", LOCAL_RANK="0", WORLD_SIZE="1",
        LOCAL_WORLD_SIZE="1",
    )  # fmt: skip
    end_with_parent()  # training must not go on after the stage's process has died
    try:
        work()
    except Stopped as error:
        sys.exit(str(error))
    except UserError as error:
        pipe.send(("refused", str(error)))
    except Exception as error:
        traceback.print_exc()
        pipe.send(("failed", " ".join(f"{type(error).__name__}: {error}".split())[:300]))
