"""Stage vocabulary: a small BPE vocab.json in XTTS's own format, for English and Hungarian letters.

Merges are few. They are learned from the words of words.txt and grammar.txt, each once, and not from running text. So
the pieces are short and close to sounds, such as `th` or `ing`, and no word gets a piece because a phrase is frequent.
A small model can align such pieces.
"""

import json

import common
import grammar
import texts
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

LETTERS = "abcdefghijklmnopqrstuvwxyzáéíóöőúüű"
MARKS = ".,?!'-:;"
SPECIAL = ["[STOP]", "[UNK]", "[SPACE]", "[en]", "[hu]"]


def main() -> None:
    size = common.params()["vocabulary"]["size"]
    quiz = set(grammar.read(common.HERE / "grammar.txt")["any"])
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1, special_tokens=SPECIAL, initial_alphabet=list(LETTERS + MARKS), show_progress=False
    )
    tokenizer.train_from_iterator(sorted({word for known in texts.words().values() for word in known} | quiz), trainer)
    tokenizer.add_special_tokens(["[START]"])  # last, as in the published vocabulary
    common.PARTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, indent=1)
    (common.PARTS / "vocab.json").write_text(text + "\n", encoding="utf-8")
    print(f"{tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    common.run(main)
