"""The curves of a training, written by dvclive into the stage's own folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from voicetune import run_notes


@contextmanager
def open_curves(folder: Path, offset: int = 0) -> Iterator[Callable[[int, dict[str, float], bool], None]]:
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
    run_notes.add(folder.name, {name: round(value, 2) for name, value in last.items()})
