"""The tables that stages write: CSV with a header. Reading checks each row, and that the last line is complete."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from voicetune import files
from voicetune.errors import UserError
from voicetune.shapes import describe_fault

R = TypeVar("R")


def write(path: Path, record: type, records: Iterable[Any]) -> None:
    """Write a table, one row a record, in the given order.

    Args:
        record: the dataclass of the records; its fields are the columns.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(record)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(one) for one in records)


def read(path: Path, record: type[R], again: str) -> list[R]:
    """The rows of a table.

    Args:
        record: a dataclass whose fields are the columns; a cell is checked against its field's annotation.
        again: the remedy that error messages name, without its full stop.

    Raises:
        UserError: the file is missing or cut off, has other columns, or has a cell that fails its check.
    """
    text = files.read_text(path, again)
    columns = [field.name for field in fields(record)]  # type: ignore[arg-type]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if next(reader, []) != columns:
            raise UserError(f"{path} should have the columns {', '.join(columns)}; {again}.")
        adapter, rows = TypeAdapter(record), []
        for row in reader:
            if len(row) != len(columns):
                raise csv.Error(f"{len(row)} cells")
            rows.append(
                _check_row(adapter, dict(zip(columns, row, strict=True)), f"{path}, line {reader.line_num}", again)
            )
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num} is damaged ({error}); {again}.") from None
    if not text.endswith("\n"):
        raise UserError(f"{path} ends in the middle of its last line; {again}.")
    return rows


def _check_row(adapter: TypeAdapter[R], row: dict[str, Any], at: str, again: str) -> R:
    try:
        return adapter.validate_python(row)
    except ValidationError as error:
        raise UserError(f"{at} {describe_fault(error)}; {again}.") from None
