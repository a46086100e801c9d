"""Time how long the stock model and ours take to make the codes of twenty lines on the CPU.

    python bench/speaking.py                     # models/voice, which `make repro` made
    python bench/speaking.py models/base --repeats 5

Both decode greedily, so both must give the same codes. The stock side calls `GPT.generate` for one line after the
other, as `Xtts.inference` does. Our side is `xtts/decode.py`. The sides take turns. The seconds are those of all
codes. Making tokens of text and sound of codes is the same for both, so it is not timed. The last line says how long
`say` takes from a text to its sound, with the decoding of params.yaml.
"""

import argparse
import copy
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from voicetune import entry
from voicetune.errors import UserError
from voicetune.params import whole
from voicetune.params.decoding import Decoding
from voicetune.speech.timing import timed
from voicetune.speech.voice import Line, Voice
from voicetune.xtts.decode import decode

LINES = (
    "Good evening, ladies and gentlemen, and welcome back to the show.",
    "Which river flows through Budapest?",
    "That is the correct answer, well done, you are in the lead.",
    "Listen carefully, here comes the final question, for one thousand points.",
    "Take your time.",
    "Who painted this famous picture?",
    "How many legs does a spider have?",
    "Let us hear it again.",
    "Thank you and good night.",
    "The answer is seven.",
    "Here comes the next question, and it is worth two hundred points.",
    "No, I am sorry, that is wrong.",
    "You are in the lead with nine hundred points.",
    "Which country is the largest of them all?",
    "What is the capital of France?",
    "Welcome to the second round of the show.",
    "Our next guest comes from the north of the country.",
    "It is time for the last round, and there is everything to win.",
    "I will read the question once more.",
    "Say the answer before the bell rings.",
)
# With a penalty of 1, greedy decoding repeats itself up to the limit.
GREEDY = Decoding(temperature=0, top_k=50, top_p=0.8, repetition_penalty=5.0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=Path("models/voice"))
    parser.add_argument("--speaker")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--penalty", type=float, default=GREEDY.repetition_penalty)
    parser.add_argument("--lines", type=int, default=len(LINES), help="how many of the twenty")
    parser.add_argument("--limit", type=int, help="codes of a line at most (the model's own)")
    return parser.parse_args()


def stock_codes(gpt, latents: torch.Tensor, texts: list[torch.Tensor], penalty: float) -> list[torch.Tensor]:
    found = []
    with torch.inference_mode():
        for text in texts:
            row = gpt.generate(latents, text[None], do_sample=False, num_beams=1, repetition_penalty=penalty)[0]
            found.append(row[row != gpt.stop_audio_token])
    return found


def main() -> None:
    given = arguments()
    voice = Voice(given.model)
    speech: Any = voice.model
    gpt = speech.xtts.gpt
    gpt.max_gen_mel_tokens = given.limit or gpt.max_gen_mel_tokens
    speaker = voice.speaker(given.speaker)
    settings = GREEDY.model_copy(update={"repetition_penalty": given.penalty})
    latents = speaker["gpt_cond_latent"]
    texts = [voice.tokens(Line(text, "en")) for text in LINES[: given.lines]]
    stock = copy.deepcopy(gpt)
    stock.init_gpt_for_inference()
    stock.eval()
    sides = {
        "stock": lambda: stock_codes(stock, latents, texts, given.penalty),
        "ours": lambda: decode(gpt, latents, texts, settings, [0] * len(texts)),
    }
    for side in sides.values():
        side()  # the first run also allocates memory
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    codes = {}
    for _ in range(given.repeats):
        for name, side in sides.items():
            begun = time.perf_counter()
            codes[name] = side()
            seconds[name].append(time.perf_counter() - begun)
    same = sum(torch.equal(a, b) for a, b in zip(codes["stock"], codes["ours"], strict=True))
    if same < len(texts):
        raise UserError(f"only {same} of {len(texts)} lines have the same codes: what is compared is not the same.")
    count = sum(len(one) for one in codes["ours"])
    print(f"{len(texts)} lines, {count} codes ({count * 1024 / 22050:.1f} s of sound), the same of both sides; "
          f"{given.model}, {torch.get_num_threads()} threads, {given.repeats} repeats in turn")  # fmt: skip
    for name, taken in seconds.items():
        middle = statistics.median(taken)
        print(f"{name:6} {middle:7.2f} s (of {min(taken):.2f} to {max(taken):.2f})  {count / middle:7.0f} codes/s")
    ratios = sorted(a / b for a, b in zip(seconds["stock"], seconds["ours"], strict=True))
    print(f"ours is {statistics.median(ratios):.1f} times as fast (of {ratios[0]:.1f} to {ratios[-1]:.1f})")
    first, factor = timed(voice, Line(" ".join(LINES[:4]), "en"), speaker, whole.load().decoding, 1)
    print(f"say, four sentences: first sound after {first:.2f} s, real-time factor {factor:.2f}")


if __name__ == "__main__":
    entry.run(main)
