"""Stage vocabulary: a small BPE vocab.json in XTTS's own format, for English and Hungarian letters.

Merges are few and learned within words: pieces like `th` or `ing` keep the tokens near to sounds,
which is what a small model can align.
"""

import json

import common
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from voicetune.data import clip

LETTERS = "abcdefghijklmnopqrstuvwxyzáéíóöőúüű"
MARKS = ".,?!'-:;"
SPECIAL = ["[STOP]", "[UNK]", "[SPACE]", "[en]", "[hu]"]


def main() -> None:
    size = common.params()["vocabulary"]["size"]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1, special_tokens=SPECIAL, initial_alphabet=list(LETTERS + MARKS), show_progress=False
    )
    clips = clip.read(common.WORK / "wide" / "clips" / "clips.csv")
    tokenizer.train_from_iterator((c.text.lower() for c in clips if c.split == "train"), trainer)
    tokenizer.add_special_tokens(["[START]"])  # last, as in the published vocabulary
    common.BUNDLE.mkdir(exist_ok=True)
    text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, indent=1)
    (common.BUNDLE / "vocab.json").write_text(text + "\n", encoding="utf-8")
    print(f"{tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    common.run(main)
