"""Make a model folder of the published XTTS v2's true size, with random weights, to test with.

It has the same classes and sizes as the published model (518,442,047 parameters, the DVAE included), the keys of
config.json that set them, a vocabulary of 6,681 tokens in the same format, the HiFi-GAN and the speaker encoder. Its
checkpoint holds a configuration object, as the published one does. Nothing was trained, so its figures and its voice
mean nothing.
"""

import itertools
import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
from TTS.tts.layers.xtts.gpt import GPT
from TTS.tts.models.xtts import _legacy_safe_globals

from voicetune.xtts import codec, folder
from voicetune.xtts.limits import CHARACTERS
from voicetune.xtts.text import Tokenizer as Words

PARAMETERS = 518_442_047
TOKENS = 6681
DVAE_SIZES = {"num_tokens": 1024, "hidden_dim": 512, "codebook_dim": 512, "num_resnet_blocks": 3}
LETTERS = "abcdefghijklmnopqrstuvwxyzáéíóöőúüű"
MARKS = ".,?!'-:;\"()0123456789°%/"
# Random weights never stop a line, and a bias on STOP would stop it at any position. So `let_it_end` adds a direction
# to the position embeddings and points STOP's weights along it: a line does not stop before CODES, but soon after.
CODES, DIRECTION, STOP = 24, 0.1, 50.0


def vocabulary(path: Path) -> None:
    """A BPE vocabulary of TOKENS tokens: letters, marks, tags, and merges of two, three and four letters."""
    tags = [f"[{'zh-cn' if name == 'zh' else name}]" for name in CHARACTERS]
    first = ["[STOP]", "[UNK]", "[SPACE]", *tags]
    tokens = {token: number for number, token in enumerate([*first, *LETTERS, *MARKS])}
    merges: list[tuple[str, str]] = []
    pairs = [(a, b) for a, b in itertools.product(LETTERS, repeat=2)]
    longer = [(a + b, c) for (a, b), c in itertools.product(pairs, LETTERS)]
    for left, right in pairs + longer:
        if len(tokens) == TOKENS - 1:
            break
        tokens[left + right] = len(tokens)
        merges.append((left, right))
    tokenizer = Tokenizer(models.BPE(tokens, merges, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([*first, "[START]"])
    path.write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False), encoding="utf-8")


def configuration() -> XttsConfig:
    """The sizes that the published config.json sets."""
    args = XttsArgs(
        gpt_layers=30, gpt_n_model_channels=1024, gpt_n_heads=16, gpt_number_text_tokens=TOKENS,
        gpt_num_audio_tokens=1026, gpt_start_audio_token=1024, gpt_stop_audio_token=1025,
        gpt_max_audio_tokens=605, gpt_max_text_tokens=402, gpt_max_prompt_tokens=70, gpt_code_stride_len=1024,
        gpt_use_masking_gt_prompt_approach=True, gpt_use_perceiver_resampler=True, decoder_input_dim=1024,
        kv_cache=True,
    )  # fmt: skip
    return XttsConfig(model_args=args, languages=list(CHARACTERS), gpt_cond_len=30, gpt_cond_chunk_len=4)


def let_it_end(gpt: GPT) -> None:
    """Make every line end after about CODES codes, whatever its text and however its codes are drawn."""
    places = gpt.mel_pos_embedding.emb.weight
    direction = torch.where(torch.rand(places.shape[1]) < 0.5, -1.0, 1.0)
    ramp = ((torch.arange(len(places)) - CODES) / 8).clamp(-1, 1)
    places += DIRECTION * ramp[:, None] * direction  # small beside what the layers add, so little else changes
    gpt.mel_head.weight[gpt.stop_audio_token] = STOP / len(direction) * direction


def make(out: Path, seed: int = 1) -> int:
    """Write the folder, 2.3 GB.

    Returns:
        its number of parameters.
    """
    out.mkdir(parents=True)
    torch.manual_seed(seed)
    vocabulary(out / "vocab.json")
    config = configuration()
    xtts = folder.build(config, Words(out / "vocab.json"))
    dvae = codec.build_dvae(**DVAE_SIZES)
    with torch.no_grad():
        let_it_end(xtts.gpt)
        xtts.mel_stats.copy_(torch.linspace(2.0, 4.0, 80))
    with _legacy_safe_globals():  # pickles classes under the module's old name, as the published file does
        torch.save({"config": config, "model": xtts.state_dict()}, out / "model.pth")
    torch.save(dvae.state_dict(), out / "dvae.pth")
    torch.save(xtts.mel_stats.clone(), out / "mel_stats.pth")
    torch.save({}, out / "speakers_xtts.pth")
    config.save_json(str(out / "config.json"))
    return sum(p.numel() for model in (xtts, dvae) for p in model.parameters())


if __name__ == "__main__":
    print(f"{make(Path(sys.argv[1])):,} parameters in {sys.argv[1]}")
