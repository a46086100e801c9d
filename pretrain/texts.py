"""Draw the texts that the base learns to read: everyday English, short lines, and quiz sentences.

Everyday sentences are patterns (everyday.txt) that are filled with words by class (words.txt). All words of a class
come equally often. The sentences mean little. Their aim is that each word occurs in the middle of a sentence.
"""

import re
from pathlib import Path

import grammar
import numpy as np

HERE = Path(__file__).resolve().parent
_VOWEL = re.compile(r"\b([Aa]) (?=(?!one|uni|use|usu|eu|once|uti)[aeiou]|hour|honest|honou?r|heir)")
_BEGIN = re.compile(r"(^|[.!?] )([a-z])")


def words() -> dict[str, list[str]]:
    """Read the words by class: noun, nouns, adj, adv, verb, verbs (third person), past, ing, done (participle)."""
    lines = (HERE / "words.txt").read_text(encoding="utf-8").splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines if line[:1] != "#")}


class Texts:
    """Draws texts.

    Args:
        shares: how often each kind is drawn: `short`, `sentence` (everyday.txt), `quiz` (grammar.txt).
    """

    def __init__(self, shares: dict[str, float], rng: np.random.Generator):
        self.kinds, self.shares, self.rng = list(shares), list(shares.values()), rng
        self.words = words()
        self.rules = grammar.read(HERE / "everyday.txt", self.words)
        self.quiz = grammar.read(HERE / "grammar.txt")
        self.decks: dict[str, list[str]] = {}

    def draw(self) -> str:
        """Draw one text."""
        kind = str(self.rng.choice(self.kinds, p=self.shares))
        if kind == "quiz":
            return grammar.generate(self.quiz, str(self.rng.choice(["line", "short", "pair"])), self.rng)
        text = _VOWEL.sub(r"\1n ", self._expand(kind))
        return _BEGIN.sub(lambda found: found[1] + found[2].upper(), text)

    def _expand(self, name: str) -> str:
        if name in self.words:
            if not self.decks.get(name):
                self.decks[name] = self.rng.permutation(self.words[name]).tolist()
            return self.decks[name].pop()
        text = self.rules[name][self.rng.integers(len(self.rules[name]))]
        return grammar.REFERENCE.sub(lambda found: self._expand(found[1]), text)
