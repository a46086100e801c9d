"""What Optuna decides: which values are tried next, and which trial is given up. Optuna is an optional package."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from voicetune.errors import UserError
from voicetune.sweep.trials import Curve, Trial
from voicetune.sweep.values import Choices, Space, write

_COMPARED = 4  # trials that have to be done before one is given up


def optuna() -> Any:
    """Import Optuna, without its messages.

    Raises:
        UserError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UserError("a range and --prune need Optuna; run `pip install -c requirements.lock optuna`.") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def is_hopeless(done: Sequence[Trial], curve: Curve) -> bool:
    """Whether a trial is given up: its best mel CE so far is above the median of the others at the same step.

    Steps are counted from each curve's first one, because phase 2's curve begins where phase 1 ended. Source: Optuna,
    MedianPruner. Of each curve's first third nothing is judged.
    """
    if len(done) < _COMPARED or not curve:
        return False
    done, curve = [replace(trial, curve=_from_zero(trial.curve)) for trial in done], _from_zero(curve)
    warm = max(step for trial in done for step, _ in trial.curve) // 3
    library = optuna()
    study = library.create_study(pruner=library.pruners.MedianPruner(_COMPARED, n_warmup_steps=warm))
    study.add_trials([_finished(library, trial, []) for trial in done if trial.ended == "done"])
    trial = study.ask()
    for step, value in curve:
        trial.report(value, step)
    return trial.should_prune()


def _from_zero(curve: Curve) -> Curve:
    return [(step - curve[0][0], value) for step, value in curve]


def suggest(spaces: Sequence[Space], done: Sequence[Trial], number: int, seed: int) -> dict[str, str]:
    """The values of a trial: what TPE proposes after the trials that have ended.

    Each trial has a sampler with a seed of its own, so a sweep that goes on later proposes what it would have proposed.
    Source: Bergstra et al., Algorithms for hyper-parameter optimization, 2011, as Optuna has it.
    """
    library = optuna()
    study = library.create_study(sampler=library.samplers.TPESampler(seed=(seed * 1_000_003 + number) % 2**32))
    study.add_trials([_finished(library, trial, spaces) for trial in sorted(done, key=lambda one: one.number)])
    chosen = study.ask({space.name: _distribution(library, space) for space in spaces}).params
    return {
        space.name: chosen[space.name] if isinstance(space, Choices) else write(chosen[space.name], space)
        for space in spaces
    }


def _distribution(library: Any, space: Space) -> Any:
    if isinstance(space, Choices):
        return library.distributions.CategoricalDistribution(space.values)
    if space.whole:
        return library.distributions.IntDistribution(int(space.low), int(space.high), log=space.log)
    return library.distributions.FloatDistribution(space.low, space.high, log=space.log)


def _number(text: str, space: Space) -> Any:
    """A trial's value in Optuna's form. Four digits may round a number out of its range."""
    if isinstance(space, Choices):
        return text
    return int(text) if space.whole else min(max(float(text), space.low), space.high)


def _finished(library: Any, trial: Trial, spaces: Sequence[Space]) -> Any:
    """A trial that has ended, in Optuna's form. One that was pruned counts with the best that it reached."""
    return library.trial.create_trial(
        params={space.name: _number(trial.values[space.name], space) for space in spaces},
        distributions={space.name: _distribution(library, space) for space in spaces},
        value=trial.best, intermediate_values=dict(trial.curve),
    )  # fmt: skip
