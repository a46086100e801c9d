"""Stage bundle: the GPT in fp16 beside DVAE and vocabulary, with sizes and provenance."""

import json

import common
import torch
from conditioning import hearing
from safetensors.torch import load_file, save_file

from voicetune.data import clip
from voicetune.xtts.folder import sha256

LIMIT_BYTES = 24_000_000


def main() -> None:
    params = common.params()
    stage = params["stages"][-1]
    weights = hearing(load_file(common.WORK / f"{stage}.safetensors"), params)
    save_file({n: v.to(torch.float16).contiguous() for n, v in weights.items()}, common.BUNDLE / "gpt.safetensors")
    sets = sorted({params[name]["data"] for name in params["stages"]})
    clips = [c for name in sets for c in clip.read(common.WORK / name / "clips" / "clips.csv")]
    facts = {
        "gpt": params["gpt"],
        "dvae": json.loads((common.BUNDLE / "dvae.json").read_text()),
        "languages": ["en", "hu"],
        "licence": "the tiny base is made by this repository from its own sentences and espeak-ng; MPL-2.0",
        "provenance": {
            "texts": "pretrain/grammar.txt",
            "voices": params["speech"]["voices"],
            "rate": params["speech"]["rate"],
            "clips": len(clips),
            "hours": round(sum(c.seconds for c in clips) / 3600, 2),
            "stages": {name: json.loads((common.WORK / f"{name}.json").read_text()) for name in params["stages"]},
            "sha256": {f: sha256(common.BUNDLE / f) for f in ("gpt.safetensors", "dvae.safetensors", "vocab.json")},
        },
    }
    (common.BUNDLE / "bundle.json").write_text(json.dumps(facts, indent=2) + "\n")
    size = sum(path.stat().st_size for path in common.BUNDLE.iterdir())
    print(f"bundle of {size / 1e6:.1f} MB from {stage}")
    if size > LIMIT_BYTES:
        raise common.UserError(
            f"{common.BUNDLE} has {size} bytes, over {LIMIT_BYTES}; make the GPT or the DVAE smaller."
        )


if __name__ == "__main__":
    common.run(main)
