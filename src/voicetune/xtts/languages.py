"""Adds a language to a model folder: its tokens to the vocabulary, and a row for each of them to the GPT.

A new row begins as the mean of the old rows of the pieces that the old vocabulary cuts the token into (fast vocabulary
transfer, Gee et al. 2022, https://arxiv.org/abs/2402.09977). A letter that it lacks is cut as its base letter, ș as s.
The tag begins as the tag of a near language, or as the mean of the tags of the model's languages.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voicetune import copies
from voicetune.errors import UserError
from voicetune.model import Added
from voicetune.xtts import checks, folder, vocabulary
from voicetune.xtts.layout import FACTS, LICENCE, SHARED, SPEAKERS, weights_file
from voicetune.xtts.text import Tokenizer

_ROWS = ("gpt.text_embedding.weight", "gpt.text_head.weight", "gpt.text_head.bias")


def extend(base: Path, out: Path, language: str, texts: Sequence[str], tokens: int, near: str | None = None) -> Added:
    """Copy a model folder, with a language added. All that the model did before, it does as before.

    Args:
        out: a folder to be made.
        texts: in the language, as people write them.
        tokens: how many merges to learn from the texts, beside the tag and the letters.
        near: a language of the model that the tag is taken from; None: all of them.

    Raises:
        UserError: the model knows the language already, or not the near one; the texts give fewer tokens; the folder is
            damaged; or `out` exists or cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} exists already; choose another name, so that DVC sees another base, or remove it.")
    weights_of = weights_file(base)
    words, settings = folder.open_tokenizer(base), folder.open_config(base)
    tag = vocabulary.tag_of(language)
    spoken = [one for one in settings.languages if vocabulary.tag_of(one) == tag]
    if spoken and words.stock.tokenizer.token_to_id(tag) is not None:
        raise UserError(f"{base} has the language '{language}' already ({tag} in vocab.json); train it as it is.")
    near_tags = _near_tags(base, near, words, settings.languages)
    learnt = vocabulary.learn([words.written(text, language) for text in texts], tokens)
    if len(learnt.merges) < tokens:
        raise UserError(
            f"the texts in '{language}' give {len(learnt.merges)} new tokens, not {tokens}; ask for at most so many, or"
            " give more texts (--texts)."
        )
    weights = folder.open_xtts(base).state_dict()
    checks.check_finite(weights_of, weights)
    content: dict[str, Any] = json.loads((base / "vocab.json").read_text(encoding="utf-8"))
    said = vocabulary.extend(content, language, learnt)
    pieces = [_pieces(text, words) if text else near_tags for text in said.values()]
    grown = {name: torch.cat([weights[name], _means(weights[name], pieces)]) for name in _ROWS}
    with copies.whole(out, out.with_name(f".{out.name}.voicetune-part")) as part:
        for name in (*SHARED, SPEAKERS, FACTS, LICENCE):
            if (base / name).is_file():
                copies.copy(base / name, part / name)
        folder.save({"model": {**weights, **grown}}, part / "model.pth")
        with copies.written(out):
            text = json.dumps(content, indent=2, ensure_ascii=False)
            (part / "vocab.json").write_text(text + "\n", encoding="utf-8", newline="\n")
            settings.languages = [*settings.languages, *([] if spoken else [language])]
            settings.model_args.gpt_number_text_tokens = len(words) + len(said)
            settings.save_json(str(part / "config.json"))
        folder.open_xtts(part)  # every part fits the others
    letters = [token for token, text in said.items() if token == text and token]
    return Added(letters, len(said) - 2 - len(letters) - len(learnt.merges), len(learnt.merges), len(said))


def _near_tags(base: Path, near: str | None, words: Tokenizer, languages: Sequence[str]) -> list[int]:
    """The ids of the tags whose mean the new tag begins as."""
    tags = {one.split("-")[0]: words.stock.tokenizer.token_to_id(vocabulary.tag_of(one)) for one in languages}
    known = {one: place for one, place in tags.items() if place is not None}
    if near is not None and near not in known:
        raise UserError(f"{base} has no language '{near}' to take the new tag from; it has {', '.join(sorted(known))}.")
    if not known:
        raise UserError(f"{base}: its config.json names no language that its vocab.json has; {checks.AGAIN}.")
    return [known[near]] if near else list(known.values())


def _pieces(text: str, words: Tokenizer) -> list[int]:
    """The tokens that the old vocabulary cuts a new token into; of a letter that it lacks entirely, those of all."""
    tokenizer = words.stock.tokenizer
    known = "".join(c if tokenizer.token_to_id(c) is not None else vocabulary.base_letter(c) for c in text)
    unknown = words.special("[UNK]")
    found = [place for place in tokenizer.encode(known).ids if place != unknown]
    return found or [place for token, place in tokenizer.get_vocab().items() if len(token) == 1 and token.isalpha()]


def _means(rows: Tensor, pieces: Sequence[Sequence[int]]) -> Tensor:
    """The mean row of each list of rows: (lists, ...)."""
    return torch.stack([rows[torch.tensor(places)].mean(0) for places in pieces])
