"""The values that a sweep tries.

`lr=1e-4,2e-4` is a list, `lr=1e-5..1e-3` a range, and `lr=log:1e-5..1e-3` a range of powers.
"""

import copy
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from voicetune.errors import UserError
from voicetune.params import reading, whole

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_VALUE = re.compile(r"[A-Za-z0-9_.+-]{1,60}")
_RANGE = re.compile(r"(?P<log>log:)?(?P<low>[-+.\deE]+?)\.\.(?P<high>[-+.\deE]+)")
_FORM = "write it as key=1,2,3, as key=1..3 (a range), or as key=log:1e-5..1e-3"
_MOST = 1000


@dataclass(frozen=True)
class Choices:
    """A list of values, as they are written in params.yaml."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Range:
    """All numbers between two. log: each power of ten is as likely as any other. whole: only whole numbers."""

    name: str
    low: float
    high: float
    log: bool
    whole: bool


Space = Choices | Range


def parse(texts: Sequence[str], params: Path = reading.PATH) -> list[Space]:
    """Parse the arguments `key=values`, and check each key and value against params.yaml.

    Raises:
        UserError: one has another form, a key twice, a key that params.yaml lacks or a value that it may not have.
    """
    spaces = [_parse(text) for text in texts]
    names = [space.name for space in spaces]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{twice} is given twice; put all its values into one list.")
    spaces = [replace(one, whole=_is_whole(one, params)) if isinstance(one, Range) else one for one in spaces]
    for space in spaces:
        ends = space.values if isinstance(space, Choices) else [write(end, space) for end in (space.low, space.high)]
        for value in ends:
            check({space.name: value}, params)
    return spaces


def _parse(text: str) -> Space:
    name, _, given = text.partition("=")
    if not _NAME.fullmatch(name) or not given:
        raise UserError(f"'{text}' is no parameter with values; {_FORM}.")
    if found := _RANGE.fullmatch(given):
        return _range(name, given, found)
    values = tuple(given.split(","))
    if not all(_VALUE.fullmatch(value) and not _is_odd(value) for value in values):
        raise UserError(f"'{text}' has a value that is no plain number or word; {_FORM}.")
    if len({_number(value) if _is_number(value) else value for value in values}) < len(values):
        raise UserError(f"'{text}' has a value twice; take one of them out.")
    return Choices(name, values)


def _range(name: str, given: str, found: re.Match[str]) -> Range:
    log = found["log"] is not None
    try:
        low, high = float(found["low"]), float(found["high"])
    except ValueError:
        raise UserError(f"'{given}' is no range of numbers; {_FORM}.") from None
    if not low < high or not math.isfinite(high - low) or (log and low <= 0):
        raise UserError(f"'{given}' is no range: the first number has to be the lower one, and above 0 for log:.")
    return Range(name, low, high, log, whole=False)


def _is_whole(space: Range, params: Path) -> bool:
    """Whether the parameter has to be a whole number: params.yaml refuses one in the middle that is none."""
    if not (space.low.is_integer() and space.high.is_integer()):
        return False
    middle = (space.low + space.high) / 2
    try:
        check({space.name: str(middle + 0.25 * middle.is_integer())}, params)
    except UserError:
        return True
    return False


def write(value: float, space: Range) -> str:
    """A number of a range as it is written in params.yaml: four significant digits, or a whole number."""
    return str(round(value)) if space.whole else f"{value:.4g}"


def check(values: dict[str, str], params: Path = reading.PATH) -> None:
    """Check params.yaml with other values.

    Raises:
        UserError: it lacks one of the keys, or may not have one of the values.
    """
    settings = copy.deepcopy(reading.read_yaml(params))
    for name, value in values.items():
        above, _, last = name.rpartition(".")
        section: Any = whole.find(settings, above) if above else settings
        if not isinstance(section, dict) or last not in section or isinstance(section[last], dict):
            raise UserError(f"{params} has no value '{name}'; correct the name, as in lr or train_phase1.lr.")
        section[last] = yaml.safe_load(value) if not _is_number(value) else _number(value)
    whole.check_all(settings, f"{params} with {' '.join(f'{k}={v}' for k, v in values.items())}")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?", text) is not None


def _is_odd(text: str) -> bool:
    """Whether YAML reads something else here than a plain number, a word, true, false or null: 0x10, 1_000, a date."""
    return not _is_number(text) and not isinstance(yaml.safe_load(text), str | bool | None)


def _number(text: str) -> float | int:
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def grid(spaces: Sequence[Space]) -> list[dict[str, str]]:
    """Every combination of the values of lists; the last list changes fastest.

    Raises:
        UserError: there are more than a thousand.
    """
    lists = [space for space in spaces if isinstance(space, Choices)]
    count = math.prod(len(one.values) for one in lists)
    if count > _MOST:
        raise UserError(f"these lists make {count:,} trainings; give fewer values, at most {_MOST:,} combinations.")
    names = [one.name for one in lists]
    return [dict(zip(names, row, strict=True)) for row in itertools.product(*(one.values for one in lists))]
