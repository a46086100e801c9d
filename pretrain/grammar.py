"""Sentences from a small grammar (grammar.txt), each a pure function of its random generator."""

import re
from pathlib import Path

import numpy as np

from voicetune.errors import UserError

STARTS = ("short", "line", "pair", "mix")
_REFERENCE = re.compile(r"\{(\w+)\}")


def read(path: Path) -> dict[str, list[str]]:
    """Read rules: lines of `name: alternative | alternative`; a name given again adds alternatives.

    Raises:
        UserError: a line is no rule, or an alternative refers to a rule that does not exist.
    """
    rules: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, body = line.partition(":")
        if not colon:
            raise UserError(f"{path}, line {number}: expected 'name: alternative | alternative'.")
        rules.setdefault(name.strip(), []).extend(part.strip() for part in body.split("|"))
    for name, alternatives in rules.items():
        for missing in set(_REFERENCE.findall(" ".join(alternatives))) - rules.keys():
            raise UserError(f"{path}: rule '{name}' refers to '{missing}', which is not there.")
    return rules


def narrowed(rules: dict[str, list[str]], alternatives: int | None) -> dict[str, list[str]]:
    """The first alternatives of each rule, but all of the start symbols'; with None, all of them."""
    return {name: options if name in STARTS else options[:alternatives] for name, options in rules.items()}


def generate(rules: dict[str, list[str]], start: str, rng: np.random.Generator) -> str:
    """Expand one rule to a text; every sentence begins with a capital."""
    text = rules[start][rng.integers(len(rules[start]))]
    while match := _REFERENCE.search(text):
        text = text[: match.start()] + generate(rules, match[1], rng) + text[match.end() :]
    return re.sub(r"(^|[.!?] )([a-z])", lambda m: m[1] + m[2].upper(), text)
