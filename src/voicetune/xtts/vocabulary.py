"""Adds a language to a vocab.json, so that texts in every other language keep exactly the tokens that they had.

A vocabulary of XTTS is one list of merges for all languages (byte pair encoding, Sennrich et al. 2016,
https://arxiv.org/abs/1508.07909). Merges that are added at its end would join letters in the old languages too. So each
letter of the new language is written with a mark behind it, a combining character that no text has. Every new merge
has that mark in both of its parts, so it can join nothing in a text of another language. The first merges join each
letter with its mark; the others are learnt from texts.

The mark of a language is the token after its tag. So vocab.json alone says how a language is written.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from voicetune.errors import UserError

MARKS = "\u0332\u0333\u0331\u0330\u032d\u032c\u0329\u0348\u0347\u0345"
"""Combining characters below a letter, one for each language that is added to a vocabulary."""
_LEAST = 2  # times that a pair must occur in the texts to be merged


@dataclass(frozen=True)
class Learnt:
    """What texts say about a language.

    letters: each that the texts have, in the order of Unicode. merges: pairs of letters or of earlier merges, the most
    frequent first.
    """

    letters: Sequence[str]
    merges: Sequence[tuple[str, str]]


def tag_of(language: str) -> str:
    """The token that says the language: `[ro]` for `ro`. XTTS writes `zh` as `[zh-cn]`."""
    return "[zh-cn]" if language == "zh" else f"[{language}]"


def mark_of(tokenizer: Tokenizer, tag: str) -> str:
    """The mark that follows each letter of a language that was added; empty for any other language."""
    place = tokenizer.token_to_id(tag)
    after = None if place is None else tokenizer.id_to_token(place + 1)
    return after if after and after in MARKS else ""


def write_marks(text: str, mark: str, tokenizer: Tokenizer) -> str:
    """Put the mark behind each character that has a token with it, which is each letter of the language's script."""
    return "".join(c + mark if tokenizer.token_to_id(c + mark) is not None else c for c in text) if mark else text


def learn(texts: Iterable[str], most: int) -> Learnt:
    """Learn a language's letters and at most `most` merges from texts as the model reads them (`Tokenizer.written`)."""
    learning = Tokenizer(models.BPE())
    splitter = learning.pre_tokenizer = pre_tokenizers.Whitespace()
    known = list(texts)
    words = [word for text in known for word, _ in splitter.pre_tokenize_str(text) if word[0].isalnum()]
    letters = sorted({c for word in words for c in word})
    trainer = trainers.BpeTrainer(vocab_size=len(letters) + most, min_frequency=_LEAST, show_progress=False)
    learning.train_from_iterator(words, trainer)
    return Learnt(letters, [(a, b) for a, b in _merges(json.loads(learning.to_str()))])


def extend(vocab: dict[str, Any], language: str, learnt: Learnt) -> dict[str, str]:
    """Add a language to the content of a vocab.json, with the next free ids.

    Every letter of the old vocabulary in a script of the new language gets a mark too. Without one, an old merge would
    join it to the letter behind it (q and u of "quiz"), and leave the mark of that letter alone.

    Args:
        vocab: is changed.

    Returns:
        each new token in the order of the ids, and what it says without marks: `th` of a merge of t and h, and an empty
        text for the tag and the mark.

    Raises:
        UserError: there is no mark left.
    """
    model = vocab["model"]
    known: dict[str, int] = model["vocab"]
    mark = next((mark for mark in MARKS if mark not in known and mark not in learnt.letters), "")
    if not mark:
        raise UserError(f"{len(MARKS)} languages were added to this vocabulary, and there is room for no more of them.")
    tag = tag_of(language)
    _retire(vocab, tag)
    scripts = {_script(letter) for letter in learnt.letters}
    others = [one for one in known if len(one) == 1 and one.isalpha() and _script(one) in scripts]
    bare = [letter for letter in learnt.letters if letter not in known]
    merges = [(letter, mark) for letter in sorted({*learnt.letters, *others})]
    merges += [(_marked(a, mark), _marked(b, mark)) for a, b in learnt.merges]
    said = {tag: "", mark: "", **{letter: letter for letter in bare}}
    said |= {a + b: (a + b).replace(mark, "") for a, b in merges}
    first = max(*known.values(), *(token["id"] for token in vocab["added_tokens"])) + 1
    known.update({token: first + number for number, token in enumerate(said)})
    as_strings = bool(model["merges"]) and isinstance(model["merges"][0], str)  # the form before tokenizers 0.20
    model["merges"] += [f"{a} {b}" if as_strings else [a, b] for a, b in merges]
    vocab["added_tokens"].append(
        {"id": first, "content": tag, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
    )  # fmt: skip
    return said


def _retire(vocab: dict[str, Any], tag: str) -> None:
    """Give another name to a tag that the vocabulary has, but the model does not speak: its row is not trained."""
    known, unused = vocab["model"]["vocab"], f"[unused {tag[1:]}"
    if tag in known:
        known[unused] = known.pop(tag)
    for token in vocab["added_tokens"]:
        if token["content"] == tag:
            token["content"] = unused


def _script(letter: str) -> str:
    """The script of a letter, as the first word of its name says it: LATIN, CYRILLIC, CJK."""
    return unicodedata.name(letter, "").partition(" ")[0]


def base_letter(letter: str) -> str:
    """The letter without what was added to it: s of ș, l of ł. The letter itself if it has no such part."""
    plain = unicodedata.normalize("NFD", letter)[0]
    name = unicodedata.name(plain, "").partition(" WITH ")[0]
    try:
        return unicodedata.lookup(name)
    except KeyError:
        return plain


def _marked(text: str, mark: str) -> str:
    return "".join(c + mark for c in text)


def _merges(vocab: dict[str, Any]) -> list[Sequence[str]]:
    return [merge.split(" ") if isinstance(merge, str) else merge for merge in vocab["model"]["merges"]]
