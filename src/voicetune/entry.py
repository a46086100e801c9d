"""Run the main function of a script: its parameters are checked, and an error ends it with one sentence."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import psutil

from voicetune import files, run_notes
from voicetune.errors import UserError, shortened, shown

# Building XTTS's GPT-2 warns of token ids that it does not use. Set this variable yourself to see the warnings.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
# On a GPU of Apple, torch computes what it has no kernel for on the CPU, and says so. It reads this when it is loaded.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not isinstance(error, UserError):
        sys.__excepthook__(kind, error, trace)
        return
    _print_error(str(error))


# A UserError outside `run` comes from an import: a file of a table (measures, readers) lacks what it must define.
sys.excepthook = _report


def run(main: Callable[[], None]) -> None:
    """Run a stage script's main. A fault in the input prints one sentence, without a traceback, and gives status 1."""
    name = stage_name()
    try:
        if name:
            from voicetune.params import whole  # no dep: it only refuses a faulty file, and changes no result

            whole.load()
        main()
        if name and is_first():  # several ranks can end at once, and only the first writes
            from voicetune import machine  # no dep: it records what made the results, and changes none

            run_notes.add(name, {"seconds": round(time.time() - psutil.Process().create_time(), 1)})
            machine.note(name)
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if not files.is_told(error):
            raise
        _fail(files.refused(error.filename, error, "read or written"))
    except KeyboardInterrupt:
        print("stopped: this stage is not finished; run the same command again.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    if name:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # all files are closed; a normal exit takes another second to free torch's objects


def _fail(sentence: str) -> NoReturn:
    """Print a sentence on one line and exit with status 1."""
    _print_error(sentence)
    sys.exit(1)


def _print_error(sentence: str) -> None:
    print(f"error: {shown(shortened(sentence))}", file=sys.stderr)


def stage_name() -> str | None:
    """The name of the stage that this process runs, as DVC calls it; None if it is no stage script."""
    script = Path(sys.argv[0])
    if script.parent.name != "src" or script.suffix != ".py":
        return None
    if script.stem == "train":
        return sys.argv[1] if len(sys.argv) == 2 else None  # wrong arguments; main reports them
    return "@".join([script.stem, *sys.argv[1:]])


def is_first() -> bool:
    """Whether this process is the one that writes: rank 0 of those that torchrun or the agent started."""
    return os.environ.get("RANK", "0") == "0"
