"""Stage vocabulary: a small BPE vocab.json in XTTS's own format, for English and Hungarian letters.

Merges are few and learned from the texts' words, each once, not from running text: pieces like `th` or `ing`, which
are near to sounds, and no piece for a whole phrase's sake; that is what a small model can align.
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
    common.BUNDLE.mkdir(exist_ok=True)
    text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, indent=1)
    (common.BUNDLE / "vocab.json").write_text(text + "\n", encoding="utf-8")
    print(f"{tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    common.run(main)
