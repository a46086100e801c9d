"""What a person has decided about single clips: the table data/decisions.csv, which the page data/quality.html makes.

Its columns are `id,decision,text`. `reject` leaves a clip out, `accept` keeps it whatever quality control says, and a
text replaces the transcript. Either cell may be empty.
"""

import csv
import io
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from voicetune import files
from voicetune.data.utterance import Utterance
from voicetune.errors import UserError, quoted

PATH = Path("data/decisions.csv")
COLUMNS = ("id", "decision", "text")
ACCEPT, REJECT = "accept", "reject"
REJECTED = f"rejected: in {PATH}"
"""The reason of a clip that a person rejected."""
_HEADER = ",".join(COLUMNS)
_MISSING = f"restore it with `git checkout {PATH}`, or write a file with the line {_HEADER} there"
_NAMED = 3  # ids in a warning


@dataclass(frozen=True)
class Decision:
    """A decision about one clip. decision: `accept`, `reject` or empty. text: the corrected transcript, or empty."""

    id: str
    decision: str
    text: str


def read(path: Path) -> dict[str, Decision]:
    """Read the decisions, by the clips' ids. A table that a spreadsheet has saved may have a byte order mark or CRLF.

    Raises:
        UserError: the file is missing or no UTF-8, or a line has a fault; names the line and the remedy.
    """
    reader = csv.reader(io.StringIO(files.read_text(path, _MISSING), newline=""), strict=True)
    found: dict[str, Decision] = {}
    lines: dict[str, int] = {}
    try:
        _check_header(next(reader, []), path)
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            at = f"{path}, line {reader.line_num}"
            one = _decision(row, at)
            if one.id in found:
                raise UserError(f"{at} repeats the id {quoted(one.id)} of line {lines[one.id]}; remove one of the two.")
            found[one.id], lines[one.id] = one, reader.line_num
    except csv.Error as error:
        at, most = f"{path}, line {reader.line_num}", csv.field_size_limit()
        if "field limit" in str(error):
            raise UserError(
                f"{at} has a cell of more than {most:,} characters; shorten it, or close its quotation mark."
            ) from None
        raise UserError(f"{at} is no CSV ({error}); put quotation marks around a text that has commas.") from None
    return found


def write(path: Path, decisions: Iterable[Decision]) -> None:
    """Write the table.

    Raises:
        UserError: it cannot be written.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([COLUMNS, *((one.id, one.decision, one.text) for one in decisions)])
    files.put(path, out.getvalue().encode())


def read_project() -> dict[str, Decision]:
    """Read the decisions of this project. Without the table there are none.

    Raises:
        UserError: see `read`.
    """
    return read(PATH) if os.path.lexists(PATH) else {}


def accepted(decisions: dict[str, Decision]) -> set[str]:
    """The ids of the clips that are kept whatever quality control says."""
    return {one.id for one in decisions.values() if one.decision == ACCEPT}


def _check_header(row: list[str], path: Path) -> None:
    if tuple(cell.strip() for cell in row) != COLUMNS:
        told = f"is {quoted(','.join(row))}" if row else "is empty"
        raise UserError(f"{path}, line 1 {told}; write the header {_HEADER} there, with commas.")


def _decision(row: list[str], at: str) -> Decision:
    if len(row) != len(COLUMNS):
        raise UserError(
            f"{at} has {len(row)} cells instead of 3; write it as {_HEADER}, with quotation marks around a text that"
            " has commas."
        )
    id, decision, text = (unicodedata.normalize("NFC", cell) for cell in row)
    if not id.strip():
        raise UserError(f"{at} has no id; begin it with the id of a clip, as in data/clips/clips.csv.")
    if decision.strip() not in ("", ACCEPT, REJECT):
        raise UserError(f"{at} has the decision {quoted(decision)}; write {ACCEPT}, {REJECT} or nothing.")
    return Decision(id, decision.strip(), " ".join(text.split()))


def apply(decisions: dict[str, Decision], utterances: Iterable[Utterance]) -> list[Utterance]:
    """The utterances after the decisions. A corrected text replaces the transcript. A rejected utterance has no text
    and a fault, so it is left out for that reason before its sound is decoded."""
    return [_apply(decisions[one.id], one) if one.id in decisions else one for one in utterances]


def _apply(decision: Decision, utterance: Utterance) -> Utterance:
    if decision.decision == REJECT:
        return replace(utterance, text="", fault=REJECTED)
    return replace(utterance, text=decision.text or utterance.text)


def warnings(decisions: dict[str, Decision], utterances: Iterable[Utterance]) -> list[str]:
    """A sentence that names the ids that no source has; none if there are no such ids."""
    ids = {one.id for one in utterances}
    unknown = sorted(decisions.keys() - ids)
    if not unknown:
        return []
    names = ", ".join(map(quoted, unknown[:_NAMED]))
    more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
    spaces = " (take the spaces at its ends away)" if any(one.strip() in ids for one in unknown) else ""
    return [
        f"warning: {PATH} decides about {names}{more}, which no source has; correct the id{spaces}, or remove the line"
    ]
