"""Code that all stage scripts share: how they end, how they write figures, and which device they use."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import psutil
from rich.console import Console
from rich.progress import track as rich_track

from voicetune import files
from voicetune.errors import UserError, shortened, shown

RUN = Path("metrics/run")
"""What the last run took on this machine: seconds, memory, restarts. This differs from run to run, so neither git nor
DVC tracks it. The report shows it where it exists."""

console = Console()
# Building XTTS's GPT-2 warns of token ids that it does not use. Set this variable yourself to see the warnings.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
T = TypeVar("T")


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

            note_run(name, {"seconds": round(time.time() - psutil.Process().create_time(), 1)})
            machine.note(name)
    except UserError as error:
        fail(str(error))
    except OSError as error:
        if not files.is_told(error):
            raise
        fail(files.refused(error.filename, error, "read or written"))
    except KeyboardInterrupt:
        print("stopped: this stage is not finished; run the same command again.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    if name:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # all files are closed; a normal exit takes another second to free torch's objects


def fail(sentence: str) -> NoReturn:
    """Print a sentence on one line and exit with status 1."""
    print(f"error: {shown(shortened(sentence))}", file=sys.stderr)
    sys.exit(1)


def emptied(folder: Path) -> Path:
    """Make an empty folder for results; what it held is removed.

    Raises:
        UserError: it cannot be removed or made, or it leads through a link, which this does not follow.
    """
    files.check_own(folder)
    with files.writing(folder):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    return folder


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


def note_run(name: str, values: dict[str, Any]) -> None:
    """Add figures of this run to metrics/run/<name>.json."""
    path = RUN / f"{name}.json"
    write_json(path, {**read_run(path), **values})


def read_run(path: Path) -> dict[str, Any]:
    """Read what `note_run` wrote; an empty dict if there is no such file, or if `note_run` cannot have written it."""
    try:
        found = json.loads(files.read_text(path, "run the stage again"))
        json_of(found)  # raises on NaN and lone surrogates, which the next `note_run` could not write
    except (UserError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, data: Any) -> None:
    """Write figures as `json_of` gives them. The file is complete, or as it was before.

    Raises:
        UserError: its folder is a link, or it cannot be written.
    """
    files.check_own(path.parent)
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.put(path, json_of(data))


def json_of(data: Any) -> bytes:
    """Encode figures as readable JSON; a figure that is not finite raises ValueError instead of becoming NaN."""
    return (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Iterate with a progress bar on a terminal, silently elsewhere."""
    return rich_track(items, what, total, console=console, disable=not console.is_terminal, transient=True)


@contextmanager
def curves(folder: Path, offset: int = 0) -> Iterator[Callable[[int, dict[str, float], bool], None]]:
    """Open a dvclive log in the stage's own folder; yields `log(step, values, write_now)`.

    dvclive's defaults would rewrite dvc.yaml during a run and share one folder between stages. Writing at every step
    would cost 10 ms per step. Values named `run/...` differ from run to run, so the folder does not get them. Their
    last values go to metrics/run.

    Args:
        offset: added to every step, so that phase 2's curve begins where phase 1's ends.
    """
    from dvclive import Live

    last: dict[str, float] = {}
    with Live(str(folder), dvcyaml=None, save_dvc_exp=False, report=None, monitor_system=False) as live:

        def log(step: int, values: dict[str, float], write_now: bool) -> None:
            live.step = offset + step
            for name, value in values.items():
                if name.startswith("run/"):
                    last[name.removeprefix("run/")] = value
                else:
                    live.log_metric(name, value)
            if write_now:
                live.make_summary()

        yield log
    note_run(folder.name, {name: round(value, 2) for name, value in last.items()})


def device(wanted: str) -> str:
    """Return `cuda` or `cpu` for the parameter `device`.

    Raises:
        UserError: a GPU is asked for and there is none.
    """
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda, but no CUDA device is found here; set device: auto in params.yaml.")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"
