"""Stage bundle: put the GPT in fp16 beside the DVAE, renderer and vocabulary, with sizes and provenance."""

import json
import shutil

import common
import torch
from gpt import LANGUAGES
from safetensors.torch import load_file, save_file

from voicetune.data import clip
from voicetune.files import sha256

LIMIT_BYTES = 28_000_000
PARTS = ("vocab.json", "dvae.safetensors", "dvae.json")  # what earlier stages made
LICENCE = "made by this repository from its own sentences, spoken by Kokoro-82M and flite; MPL-2.0"


def main() -> None:
    params = common.params()
    weights = load_file(common.WORK / "gpt.safetensors")
    common.BUNDLE.mkdir(exist_ok=True)
    save_file({n: v.to(torch.float16).contiguous() for n, v in weights.items()}, common.BUNDLE / "gpt.safetensors")
    for name in PARTS:
        shutil.copyfile(common.PARTS / name, common.BUNDLE / name)
    clips = clip.read(common.WORK / "clips" / "clips.csv")
    facts = {
        "gpt": params["gpt"]["sizes"],
        "dvae": json.loads((common.BUNDLE / "dvae.json").read_text()),
        "languages": LANGUAGES,
        "licence": LICENCE,
        "provenance": {
            "texts": ["pretrain/everyday.txt", "pretrain/words.txt", "pretrain/grammar.txt"],
            "voices": params["speech"]["voices"],
            "clips": len(clips),
            "hours": round(sum(c.seconds for c in clips) / 3600, 2),
            "gpt": json.loads((common.WORK / "gpt.json").read_text()),
            "sha256": {f: sha256(common.BUNDLE / f) for f in ("gpt.safetensors", "dvae.safetensors", "vocab.json")},
        },
    }
    (common.BUNDLE / "bundle.json").write_text(json.dumps(facts, indent=2) + "\n")
    size = sum(path.stat().st_size for path in common.BUNDLE.iterdir())
    print(f"bundle of {size / 1e6:.1f} MB")
    if size > LIMIT_BYTES:
        raise common.UserError(
            f"{common.BUNDLE} has {size} bytes, over {LIMIT_BYTES}; make the GPT or the DVAE smaller."
        )


if __name__ == "__main__":
    common.run(main)
