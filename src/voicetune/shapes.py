"""Types that check the cells and figures of a file, messages for what is wrong in it, and the reader of JSON files."""

import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from voicetune import files
from voicetune.errors import UserError

_FOLDERS = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]")


def _check_plain(name: str) -> str:
    if name in ("", ".", "..") or _FOLDERS.search(name):
        raise ValueError("should be a plain name, without folders or control characters")
    return name


Plain = Annotated[str, AfterValidator(_check_plain)]
"""A name that cannot lead out of its folder."""
Number = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
"""A figure. No figure of this project is larger, and sums and squares of such numbers are finite."""
Count = Annotated[int, Field(ge=0, le=10**9)]


def _check_scalar(value: Any) -> Any:
    if not (value is None or isinstance(value, str) or (isinstance(value, int | float) and abs(value) <= 1e9)):
        raise ValueError("should be a number or a text")
    return value


Scalar = Annotated[Any, AfterValidator(_check_scalar)]


class Record(BaseModel):
    """An object of a JSON file. It may have more keys than the fields."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class Flat(Record):
    """An object whose other keys are copied into another file, so each of them has to be a number or a text."""

    __pydantic_extra__: dict[str, Scalar] = Field(init=False)


def parse(text: str, shape: Any) -> Any:
    """Parse a JSON text and check its shape; returns what Python reads, with all its keys.

    Args:
        shape: a class or type that pydantic can check.

    Raises:
        ValueError: it is not JSON, or not of that shape (pydantic's ValidationError).
        RecursionError: it is nested too deeply.
    """
    TypeAdapter(shape).validate_json(text, strict=True)
    return json.loads(text)


def read_json(path: Path, shape: Any, again: str) -> dict[str, Any]:
    """Read figures that a stage wrote as JSON.

    Args:
        shape: the class or type to check them against, such as one of `measures.results`.
        again: the remedy for the error message, without a full stop.

    Raises:
        UserError: the file is missing or damaged, lacks a key, or has a value of the wrong kind.
    """
    text = files.read_text(path, "run `dvc repro`")
    try:
        return parse(text, shape)
    except ValidationError as error:
        raise UserError(f"{path} {describe_fault(error)}; {again}.") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not valid JSON; {again}.") from None


def describe_fault(error: ValidationError) -> str:
    """Describe the first fault in words to follow the file's name: `has no 'a'`, or `has a 'b' that should be ...`."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    key, rule = ".".join(str(part) for part in fault["loc"]), fault["msg"]
    if fault["type"] == "json_invalid":
        return "is not valid JSON"
    if fault["type"] == "missing":
        return f"has no '{key}'"
    rule = rule.removeprefix("Value error, ").removeprefix("Input ")
    if fault["type"] in ("model_type", "dict_type"):
        rule = "should be a JSON object"
    return f"has a '{key}' that {rule}" if key else f"is not right: it {rule}"
