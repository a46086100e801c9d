"""Stage codes: every clip through the tokenizer and the DVAE, as the main pipeline's encode does it.

Usage: python codes.py narrow | wide
"""

import json
import sys

import common
import torch
from rich.progress import track
from safetensors.torch import load_file

from voicetune.data import clip, codes
from voicetune.xtts import codec, encoding
from voicetune.xtts.text import Tokenizer


def main() -> None:
    dvae = codec.build_dvae(**json.loads((common.BUNDLE / "dvae.json").read_text()))
    state = {name: value.float() for name, value in load_file(common.BUNDLE / "dvae.safetensors").items()}
    stats = state.pop("mel_stats")
    dvae.load_state_dict(state, strict=False)
    dvae.eval()
    folder = common.WORK / sys.argv[1] / "clips"
    clips = clip.read(folder / "clips.csv")
    tokenizer = Tokenizer(common.BUNDLE / "vocab.json")
    with torch.no_grad():
        encoded = encoding.encode_clips(
            clips, folder, tokenizer, dvae, stats, lambda items: track(items, "encoding", len(clips))
        )
    codes.save(folder.parent / "codes", clips, encoded)


if __name__ == "__main__":
    common.run(main)
