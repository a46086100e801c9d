"""The command `extend`: a copy of a base that also knows another language."""

import argparse
from pathlib import Path

from voicetune import families, files
from voicetune.commands import options
from voicetune.data import clip
from voicetune.data.split import TRAIN
from voicetune.errors import UserError, quoted, shown

CLIPS = Path("data/clips/clips.csv")
_MOST = 10_000  # tokens; the published XTTS v2 has 6,681 for 17 languages


def add(commands: "argparse._SubParsersAction") -> None:
    command = commands.add_parser(
        "extend", help="copy a model and add a language to it, which is then trained (docs/new-languages.md)"
    )
    command.add_argument(
        "language", type=options.language, metavar="CODE", help="the code of the new language, such as ro"
    )
    command.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="the new model's folder, outside of models/"
    )
    command.add_argument(
        "--tokens", type=int, default=2000, metavar="N",
        help="how many pieces of words to learn from the texts (default: 2000)",
    )  # fmt: skip
    command.add_argument(
        "--texts", type=Path, nargs="+", metavar="FILE",
        help="files with a text on each line, or id|text (default: the texts of the training clips)",
    )  # fmt: skip
    command.add_argument(
        "--near", type=options.language, metavar="CODE",
        help="a language of the model, such as it, that the new one begins like (default: all of them)",
    )  # fmt: skip
    command.add_argument(
        "--base", type=Path, default=Path("models/base"), metavar="FOLDER",
        help="the folder of the model that is copied (default: models/base)",
    )  # fmt: skip
    command.set_defaults(run=extend)


def extend(arguments: argparse.Namespace) -> None:
    """Write a model folder that knows another language, and say what was added."""
    language, tokens, out = arguments.language, arguments.tokens, arguments.out
    if not 0 <= tokens <= _MOST:
        raise UserError(f"--tokens is {tokens}, but should be 0 to {_MOST}; 2000 did better than 5000 for others.")
    if out.resolve().is_relative_to(Path("models").resolve()):
        raise UserError(f"{out} is in models/, which `make clean` removes; choose a folder elsewhere.")
    texts = [text for path in arguments.texts for text in _lines(path)] if arguments.texts else _of_clips(language)
    family = families.languages(arguments.base)
    added = family.extend(arguments.base, out, language, texts, tokens, arguments.near)
    letters = f", {' '.join(added.new_letters)} among them" if added.new_letters else ""
    print(shown(
        f"{out}: {arguments.base} with the language '{language}'; {added.letters} letters{letters}, and {added.merges}"
        f" pieces of words, learnt from {len(texts)} texts; {added.tokens} new tokens in all. Set `base: {out}`."
    ))  # fmt: skip


def _lines(path: Path) -> list[str]:
    lines = files.read_text(path, "correct its name").splitlines()
    texts = [line.partition("|")[2] if "|" in line else line for line in lines]
    return [text for text in map(str.strip, texts) if text]


def _of_clips(language: str) -> list[str]:
    clips = clip.read(CLIPS) if files.is_file(CLIPS) else []
    texts = [one.text for one in clips if one.language == language and one.split == TRAIN]
    if not texts:
        raise UserError(
            f"{CLIPS} has no training clip in {quoted(language)}; set `language: {language}` for a source of"
            " prepare.sources and run `dvc repro prepare`, or give files with texts (--texts)."
        )
    return texts
