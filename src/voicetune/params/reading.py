"""Reads params.yaml: parses the YAML, checks a section, and describes a fault in one clear sentence."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from voicetune import files
from voicetune.errors import UserError, quoted

PATH = Path("params.yaml")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=60)]
_NAMES = "letters A to Z, digits, dots, hyphens and underscores, the first a letter or a digit"  # Name's pattern
Seed = Annotated[int, Field(ge=0, lt=2**31, examples=[1])]
LearningRate = Annotated[float, Field(gt=0, le=0.1)]


class Section(BaseModel):
    """A part of params.yaml. Every key must be in the file, because nobody would notice a changed default in the code.

    A field's `examples` holds the value that the error message for a missing key proposes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, data: Any) -> Any:
        return {} if data is None else data  # YAML reads a section with all lines commented out as None

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, data: Any) -> Any:
        for name, field in cls.model_fields.items() if isinstance(data, dict) else ():
            given = data.get(name)
            given_bool = any(isinstance(one, bool) for one in (given if isinstance(given, list) else [given]))
            if given_bool and _is_number(field.annotation):
                fault = PydanticCustomError("number", "a number, and neither true nor false")
                details = InitErrorDetails(type=fault, loc=(name,), input=given)
                raise ValidationError.from_exception_data(cls.__name__, [details])
        return data


def _is_number(annotation: Any) -> bool:
    """Whether an annotation allows a number. Pydantic would accept True as 1 there."""
    inside = get_args(annotation)
    return annotation in (int, float) or type(annotation) is int or any(map(_is_number, inside))


S = TypeVar("S", bound=Section)


# What PyYAML raises for `!!bool maybe` and the like.
_BAD_TAGS = (ValueError, ArithmeticError, LookupError, AttributeError, TypeError)
_MOST_VALUES = 100_000  # in a file, with its aliases written out; params.yaml has a few hundred, dvc.lock no alias


class _Loader(yaml.SafeLoader):
    """Loads YAML with the numbers and strings of YAML 1.2: 1e-06, as DVC writes it, is a number, and 2024-13-45 is a
    string, not a date. Rejects a key that occurs twice, and aliases that would expand into too many values."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own, without one
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_document(self) -> yaml.Node | None:
        document = super().compose_document()
        if document is not None:
            check_size(document)
        return document

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        mapping = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in mapping.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.composer.ComposerError(
                    problem=f"has the key '{key.value}' twice; remove one of them", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return mapping


def check_size(document: yaml.Node) -> None:
    """Raises yaml.YAMLError: aliases expand into too many values, or a text has half a character."""
    if _values(document, {}) > _MOST_VALUES:
        raise yaml.YAMLError(f"unfolds into more than {_MOST_VALUES:,} values; write out its anchors and aliases")


def _values(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node has with its aliases written out; infinity if it contains itself."""
    if isinstance(node, yaml.ScalarNode):
        if any("\ud800" <= one <= "\udfff" for one in node.value):
            raise yaml.composer.ComposerError(
                problem="has half a character (U+D800 to U+DFFF); remove it", problem_mark=node.start_mark
            )
        return 1
    if id(node) not in known:
        known[id(node)] = float("inf")  # while it is being counted; a node that contains itself gets this count
        parts = (part for one in node.value for part in (one if isinstance(one, tuple) else (one,)))
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        UserError: the file is missing, is not YAML or not a mapping, has a key twice, or is too deep or too large.
    """
    text = files.read_text(path, "run this in the repository's folder")
    try:
        data = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        at = f", line {where.line + 1}" if where else ""
        problem = str(getattr(error, "problem", None) or error)
        clear = problem.startswith(("has the key", "has half a", "unfolds"))
        rule = problem if clear else "is not valid YAML; correct it there"
        raise UserError(f"{path}{at} {rule}.") from None
    except RecursionError:
        raise UserError(f"{path} is nested too deeply; restore it with `git checkout`.") from None
    except _BAD_TAGS as error:
        if "digits" not in str(error):
            raise UserError(f"{path} has a value that its tag (!!...) does not fit; remove the tag.") from None
        raise UserError(f"{path} has a number of more digits than can be read; shorten it.") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} holds no keys; restore it with `git checkout` or from presets/xtts_v2.yaml.")
    return data


def load(model: type[S], path: Path = PATH) -> S:
    """Read the keys of params.yaml that a stage uses. `whole.load` checks the others.

    Args:
        model: its fields are the top-level keys that the stage lists in dvc.yaml.

    Raises:
        UserError: see `read_yaml` and `check`.
    """
    data = read_yaml(path)
    return check(model, {key: value for key, value in data.items() if key in model.model_fields}, path)


def check(model: type[S], data: Mapping[str, Any], path: Path | str, under: str = "") -> S:
    """Validate `data` as `model`. If there are faults, one of them is reported, in one sentence.

    Args:
        under: the key of `data` in the file; empty for the top level.

    Raises:
        UserError: the message names the key, the given value and what is allowed.
    """
    try:
        return model.model_validate(data, strict=False)
    except ValidationError as error:
        raise UserError(_describe(error, path, model, under)) from None


def _describe(error: ValidationError, path: Path | str, model: type[BaseModel], under: str) -> str:
    faults = error.errors(include_url=False)
    if typo := _typo(faults, model, under):
        return f"{path}: {typo}"
    fault = next((f for f in faults if f["type"] == "missing"), faults[0])
    keys, sections = _walk(model, fault["loc"])
    key = _dotted(under, keys)
    given = quoted(fault["input"])
    if fault["type"] == "extra_forbidden":
        allowed = sections[0].model_fields
        return f"{path}: there is no key '{key}'; allowed here are {', '.join(sorted(allowed))}."
    if fault["type"] == "missing" and isinstance(keys[-1], int):  # an item of a list of two values
        return f"{path}: '{_dotted(under, keys[:-1])}' lacks a value; write two, such as [3.0, 6.0]."
    if fault["type"] == "missing":
        return f"{path}: the key '{key}' is missing; {_line_to_add(sections[0], keys, under)}."
    if fault["type"] in ("model_type", "model_attributes_type"):  # one value instead of a section's keys
        field = sections[0].model_fields.get(str(keys[-1]))
        names = [name for section in _inner(field and field.annotation) for name in section.model_fields]
        form = (
            f"{{{', '.join(f'{name}: ...' for name in names)}}}" if 0 < len(names) < 4 else "a section, as in presets/"
        )
        return f"{path}: '{key}' is {given}, but should be: {form}."
    if fault["type"] == "union_tag_not_found":  # a source without its reader: the one whose keys are most like its own
        meant = min(sections, key=lambda section: len(set(section.model_fields) ^ set(fault["input"])))
        return f"{path}: the key '{key}.reader' is missing; add the line `reader: {_reader(meant)}` under `{key}:`."
    if fault["type"] == "union_tag_invalid":
        readers = ", ".join(filter(None, map(_reader, sections)))
        return f"{path}: '{key}.reader' is {quoted(fault['input']['reader'])}, but should be one of {readers}."
    if fault["type"] == "string_pattern_mismatch":
        return f"{path}: '{key}' is {given}, but should have nothing but {_NAMES}."
    rule = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not key:  # the rule is about several keys, and names them
        return f"{path}: {rule}."
    return f"{path}: '{key}' is {given}, but should be: {rule}."


def _typo(faults: list[Any], model: type[BaseModel], under: str) -> str | None:
    """A sentence if an unknown key resembles a key that is missing beside it; None otherwise."""
    for fault in faults:
        if fault["type"] != "extra_forbidden":
            continue
        *above, key = fault["loc"]
        lacking = [str(f["loc"][-1]) for f in faults if f["type"] == "missing" and list(f["loc"][:-1]) == above]
        if meant := difflib.get_close_matches(str(key), lacking, n=1):
            keys, _ = _walk(model, fault["loc"])
            where = _dotted(under, keys[:-1])
            return f"there is no key '{_dotted(under, keys)}'; write it `{meant[0]}`" + (
                f" (under `{where}:`)." if where else "."
            )
    return None


def _dotted(under: str, keys: Iterable) -> str:
    """A key with those above it in the file, such as `prepare.sources.0.name`."""
    return ".".join(str(part) for part in ([under] if under else []) + list(keys))


def _line_to_add(section: type[BaseModel], keys: list, under: str) -> str:
    """What to write for a missing key, and where."""
    *above, key = keys
    field = section.model_fields[str(key)]
    where = _dotted(under, above)
    value = field.examples[0] if field.examples else None
    if any(_inner(field.annotation)):
        return f"add the section `{key}:` as it stands in presets/"
    written = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return f"add the line `{key}: {written}`" + (f" under `{where}:`" if where else " at the top")


def _walk(model: type[BaseModel], location: Iterable) -> tuple[list, list[type[BaseModel]]]:
    """Follow the location of a fault.

    Returns:
        its keys, without the names of readers, which pydantic inserts after a source's number; and the section that has
        the last key, or all sections that may stand there, if it is a source whose reader is not known.
    """
    keys: list = []
    above, sections = [model], [model]
    for part in location:
        if chosen := [section for section in sections if len(sections) > 1 and _reader(section) == part]:
            above = sections = chosen
            continue
        keys.append(part)
        above = sections
        if not isinstance(part, int) and part in sections[0].model_fields:
            sections = list(_inner(sections[0].model_fields[part].annotation)) or sections
    return keys, above


def _reader(section: type[BaseModel]) -> str | None:
    """The name that chooses this section of a source: the only value of its key `reader`."""
    field = section.model_fields.get("reader")
    return get_args(field.annotation)[0] if field else None


def _inner(annotation: Any) -> Iterator[type[BaseModel]]:
    """Sections named in an annotation, such as those of list[AnySource]."""
    if _is_section(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from _inner(argument)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
