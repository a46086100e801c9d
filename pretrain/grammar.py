"""Generate sentences from a small grammar (grammar.txt). Each is a pure function of its random generator."""

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from voicetune.errors import UserError

PHRASES = "phrase"  # the names of the rules for phrases begin with it
REFERENCE = re.compile(r"\{(\w+)\}")


def read(path: Path, words: Collection[str] = ()) -> dict[str, list[str]]:
    """Read rules: lines of `name: alternative | alternative`; a name given again adds alternatives.

    A rule `any` is added unless the file has one, see `with_any`.

    Args:
        words: names that alternatives may refer to in addition to the rules.

    Raises:
        UserError: a line is not a rule, or an alternative refers to a rule that does not exist.
    """
    rules: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, body = line.partition(":")
        if not colon:
            raise UserError(f"{path}, line {number}: expected 'name: alternative | alternative'.")
        rules.setdefault(name.strip(), []).extend(part.strip() for part in body.split("|"))
    rules = rules if "any" in rules else with_any(rules)
    for name, alternatives in rules.items():
        for missing in set(REFERENCE.findall(" ".join(alternatives))) - rules.keys() - set(words):
            raise UserError(f"{path}: rule '{name}' refers to '{missing}', which is not there.")
    return rules


def with_any(rules: dict[str, list[str]]) -> dict[str, list[str]]:
    """Add a rule `any` to the rules: every word of all rules whose names do not begin with `phrase`."""
    text = " ".join(option for name, options in rules.items() if not name.startswith(PHRASES) for option in options)
    words = re.findall(r"[a-z]+(?:'[a-z]+)?", REFERENCE.sub(" ", text).lower())
    return rules | {"any": sorted(set(words))}


def generate(rules: dict[str, list[str]], start: str, rng: np.random.Generator) -> str:
    """Expand one rule to a text. Every sentence begins with a capital."""
    text = _expand(rules, start, rng)
    return re.sub(r"(^|[.!?] )([a-z])", lambda m: m[1] + m[2].upper(), text)


def _expand(rules: dict[str, list[str]], name: str, rng: np.random.Generator) -> str:
    text = rules[name][rng.integers(len(rules[name]))]
    while match := REFERENCE.search(text):
        text = text[: match.start()] + _expand(rules, match[1], rng) + text[match.end() :]
    return text
